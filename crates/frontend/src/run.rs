//! The front end as a program.

use std::{iter, sync::Arc};

use backfence_process::{
    Address, CancellationToken, ClusterKey, Discovery, DiscoveryError, Environment, Exit, Failure,
    Health, Listener, Name, Registration, Wanted, advertised, announce, is_loopback, serve,
};
use backfence_wire::{
    MAX_REQUEST,
    v1::{front_end_server::FrontEndServer, operator_server::OperatorServer},
};
use tonic::service::Routes;

use crate::{front_end::FrontEnd, router::PREFIX};

/// Most bytes of a response: the choices for a title, and a session's token. A
/// longer one fails, and only it.
const MAX_RESPONSE: usize = 1 << 20;

/// What a front end is called where no other has that name; the next have a number from 2 on.
const NAME: &str = "FRONTEND";
/// So many names are tried.
const MOST: u32 = 1_000;

/// How a front end is run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the registry is.
    pub registry: Address,
    /// The name to register; `None` takes `FRONTEND`, or `FRONTEND2` and so on, the first that
    /// is free.
    pub name: Option<Name>,
    /// Where clients reach it; `None` is where it listens.
    pub advertise: Option<Address>,
    /// What tokens are sealed with, the same at every front end of the cluster; `None`
    /// leaves them unprotected.
    pub cluster_key: Option<ClusterKey>,
    /// Asks also servers without a key, while a cluster is given one.
    pub accept_keyless: bool,
}

/// Registers, follows the servers' coming and going, and serves clients until
/// `shutdown`. Prints `CLIENT CAN NOW CONNECT` when it is registered and a server
/// has answered.
///
/// # Errors
///
/// When no registry answers for 10 s, or another living front end has the name that was asked
/// for, or takes it during an outage of the registry.
pub async fn run<L: Listener>(
    listener: L,
    config: Config,
    environment: Environment,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let listening = listener.local_addr()?;
    let address = advertised(config.advertise, listening)?;
    let discovery =
        Discovery::new(&environment, config.registry).with_key(config.cluster_key.as_ref());
    match &config.cluster_key {
        Some(key) => tracing::info!(key = %key.name(), "session tokens are protected"),
        None => tracing::warn!(
            "session tokens are not protected: whoever reaches this front end can claim any past, \
             and nobody is an operator; --cluster-key FILE protects them"
        ),
    }
    let entries = discovery.watch(PREFIX);
    let front_end = FrontEnd::new(
        &environment,
        entries,
        config.cluster_key,
        is_loopback(listening),
    );
    let front_end = Arc::new(front_end.accepting_keyless(config.accept_keyless));
    let service = FrontEndServer::from_arc(Arc::clone(&front_end))
        .max_decoding_message_size(MAX_REQUEST)
        .max_encoding_message_size(MAX_RESPONSE);
    let operators = OperatorServer::from_arc(Arc::clone(&front_end))
        .max_decoding_message_size(MAX_REQUEST)
        .max_encoding_message_size(MAX_RESPONSE);
    let health = Health::new(&["backfence.v1.FrontEnd", "backfence.v1.Operator"]).await;

    // Stops serving on every way out of here.
    let stop = shutdown.child_token();
    let _stop_at_the_end = stop.clone().drop_guard();
    let routes = Routes::new(service)
        .add_service(operators)
        .add_service(discovery.presence());
    let mut serving = tokio::spawn(serve(listener, routes, health.clone(), stop.clone()));

    let registration = tokio::select! {
        biased;
        () = shutdown.cancelled() => return Ok(serving.await??),
        registered = register(&discovery, config.name, address) => registered?,
    };
    let announced = async {
        front_end.connected().await;
        health.ready().await;
        announce("CLIENT CAN NOW CONNECT");
        loop {
            front_end.cut_off().await;
            tracing::warn!("no server can be reached; not serving until one can");
            health.not_ready().await;
            front_end.connected().await;
            tracing::info!("a server can be reached again");
            health.ready().await;
        }
    };
    let ended = tokio::select! {
        biased;
        () = shutdown.cancelled() => Ok(()),
        error = registration.lost() => Err(error.into()),
        served = &mut serving => return Ok(served??),
        () = announced => Ok(()),
    };
    stop.cancel();
    registration.leave().await;
    serving.await??;
    ended
}

async fn register(
    discovery: &Discovery,
    wanted: Option<Name>,
    address: Address,
) -> anyhow::Result<Registration> {
    let exact = async |name| {
        let registered = discovery.register(Wanted::Exact(name), address.clone());
        registered.await
    };
    if let Some(name) = wanted {
        return Ok(exact(name).await?);
    }
    let numbered = (2..=MOST).map(|number| format!("{NAME}{number}"));
    for name in iter::once(NAME.to_owned()).chain(numbered) {
        match exact(Name::new(name)?).await {
            Err(DiscoveryError::Taken(_)) => {}
            registered => return Ok(registered?),
        }
    }
    let sentence = format!("{MOST} front ends have the names from {NAME} on; pass --name NAME");
    Err(Failure::new(Exit::Refused, sentence).into())
}
