//! The programs of a simulation, each on a host of its own.

use std::{cell::Cell as Count, rc::Rc, sync::Arc, time::Duration};

use backfence_client::Time;
use backfence_frontend as frontend;
use backfence_gossip::Limits;
use backfence_process::{Address, CancellationToken, ClusterKey, Environment, Name};
use backfence_ratings::Base;
use backfence_replica as replica;
use turmoil::Sim;

use super::line::{Hosted, Resets, Simulated};

/// 2026-01-01T00:00:00Z, in microseconds since 1970.
const BEGIN: Time = Time(1_767_225_600_000_000);
const PORT: u16 = 7400;
const MOVIES: &str = "movieId,title,genres\n1,A,\n2,B,\n3,C,\n4,D,\n5,E,\n6,F,\n7,G,\n8,H,\n9,I,\n";
const RATINGS: &str = "userId,movieId,rating,timestamp\n1,1,4.0,964982703\n";

pub(crate) const REGISTRY: &str = "registry";

pub(crate) fn server(number: u32) -> String {
    format!("server{number}")
}

pub(crate) fn front_end(number: u32) -> String {
    format!("frontend{number}")
}

pub(crate) fn address(host: &str) -> Address {
    let address = format!("{host}:{PORT}");
    address.parse().expect("a host and a port")
}

/// Of a process that begins now, with this seed: its clock is that of the simulation.
pub(crate) fn environment(seed: u64, resets: &Resets) -> Environment {
    Environment::seeded(seed)
        .with_clock(|| BEGIN.after(turmoil::sim_elapsed().unwrap_or_default()))
        .with_connector(Simulated(resets.clone()))
}

/// Adds a registry, replicas and front ends, each of which can crash and come back.
pub(crate) fn add(sim: &mut Sim<'_>, seed: u64, replicas: u32, front_ends: u32, resets: &Resets) {
    // Each start draws otherwise.
    let starts = Rc::new(Count::new(seed << 20));
    let next = move || {
        starts.set(starts.get() + 1);
        starts.get()
    };
    let (own, begin) = (resets.clone(), next.clone());
    sim.host(REGISTRY, move || {
        let (own, seed) = (own.clone(), begin());
        async move {
            let listener = Hosted::bind(REGISTRY, PORT, own.clone()).await?;
            let shutdown = CancellationToken::new();
            Ok(backfence_registry::run(
                listener,
                backfence_registry::Config {
                    cluster_key: Some(key()),
                    accept_keyless: false,
                },
                environment(seed, &own),
                shutdown,
            )
            .await?)
        }
    });
    let base = Base::read(MOVIES.as_bytes(), RATINGS.as_bytes(), true);
    let base = Arc::new(base.expect("it is well-formed").base);
    for number in 1..=replicas {
        let (own, base, begin) = (resets.clone(), base.clone(), next.clone());
        sim.host(server(number), move || {
            let (own, base, seed) = (own.clone(), base.clone(), begin());
            async move {
                let host = server(number);
                let listener = Hosted::bind(&host, PORT, own.clone()).await?;
                let config = replica::Config {
                    server: Some(number),
                    registry: address(REGISTRY),
                    advertise: Some(address(&host)),
                    overload_probability: 0.2,
                    gossip_interval: Duration::from_secs(1),
                    limits: Limits {
                        version: backfence_wire::Versions::OWN.newest,
                        ..Limits::default()
                    },
                    data_dir: None,
                    cluster_key: Some(key()),
                    accept_keyless: false,
                };
                let shutdown = CancellationToken::new();
                let environment = environment(seed, &own);
                replica::run(listener, base, config, environment, shutdown).await?;
                Ok(())
            }
        });
    }
    for number in 1..=front_ends {
        let (own, begin) = (resets.clone(), next.clone());
        sim.host(front_end(number), move || {
            let (own, seed) = (own.clone(), begin());
            async move {
                let host = front_end(number);
                let listener = Hosted::bind(&host, PORT, own.clone()).await?;
                let config = frontend::Config {
                    registry: address(REGISTRY),
                    name: Some(Name::new(host.to_uppercase())?),
                    advertise: Some(address(&host)),
                    cluster_key: Some(key()),
                    accept_keyless: false,
                };
                let shutdown = CancellationToken::new();
                frontend::run(listener, config, environment(seed, &own), shutdown).await?;
                Ok(())
            }
        });
    }
}

/// What makes an operator.
pub(super) fn key() -> ClusterKey {
    ClusterKey::new(&[7; ClusterKey::SHORTEST]).expect("it is long enough")
}
