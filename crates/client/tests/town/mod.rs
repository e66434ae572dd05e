// A registry, a replica and a front end inside this process, for examples: these
// include this file, where `//!` would stand in the middle.

use std::{sync::Arc, time::Duration};

use backfence_process::{Address, CancellationToken, Environment, bind};
use backfence_ratings::Base;

const MOVIES: &str = "movieId,title,genres\n1,Toy Story (1995),Animation\n";
const RATINGS: &str = "userId,movieId,rating,timestamp\n1,1,4.0,964982703\n";

/// Starts all three; they end with the process. Gives the registry's address.
pub async fn start() -> Result<Address, Box<dyn std::error::Error>> {
    let (environment, shutdown) = (Environment::real(), CancellationToken::new());
    let listener = bind(&"127.0.0.1:0".parse()?).await?;
    let registry = Address::from(listener.local_addr()?);
    tokio::spawn(backfence_registry::run(
        listener,
        backfence_registry::Config::default(),
        environment.clone(),
        shutdown.clone(),
    ));

    let base = Base::read(MOVIES.as_bytes(), RATINGS.as_bytes(), true)?.base;
    let config = backfence_replica::Config {
        server: None,
        registry: registry.clone(),
        advertise: None,
        overload_probability: 0.0,
        gossip_interval: Duration::from_secs(1),
        limits: Default::default(),
        data_dir: None,
        cluster_key: None,
        accept_keyless: false,
    };
    let listener = bind(&"127.0.0.1:0".parse()?).await?;
    let (base, world) = (Arc::new(base), environment.clone());
    tokio::spawn(backfence_replica::run(listener, base, config, world, shutdown.clone()));

    let config = backfence_frontend::Config {
        registry: registry.clone(),
        name: None,
        advertise: None,
        cluster_key: None,
        accept_keyless: false,
    };
    let listener = bind(&"127.0.0.1:0".parse()?).await?;
    let discovery = backfence_process::Discovery::new(&environment, registry.clone());
    tokio::spawn(backfence_frontend::run(listener, config, environment, shutdown));
    // It registers once a replica has answered it.
    let mut entries = discovery.watch("FRONTEND");
    entries.wait_for(|entries| !entries.is_empty()).await?;
    Ok(registry)
}
