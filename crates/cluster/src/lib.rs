//! Starts a real Backfence cluster on free ports, for tests and measurements.
//!
//! Real programs, real sockets, real signals; plain blocking calls. Nothing here
//! waits by the clock: every wait ends with a line that a program prints, with its
//! exit, or with an error after a limit, which shows the end of the logs.
//!
//! ```no_run
//! use backfence_cluster::{Cluster, Role};
//!
//! let mut cluster = Cluster::builder().replicas(3).start()?;
//! println!("send requests to {}", cluster.front_end(1));
//! cluster.kill(Role::Replica(1))?;
//! cluster.restart(Role::Replica(1))?;
//! assert_eq!(cluster.terminate(Role::Replica(2))?, Some(0));
//! # anyhow::Ok(())
//! ```
//!
//! The programs are those that stand beside the running test or program, so build
//! them first: `cargo build --workspace`. Cargo does not do it by itself.
//!
//! Whatever a [`Cluster`] started is killed when it is dropped, also by a panic.
//! Only when the process that holds it is itself killed with -9 do servers stay
//! behind: a guard against that would need `unsafe` code.
//!
//! Linux and macOS; signals are sent with the `kill` command.

mod builder;
mod capture;
mod cluster;
mod data;
mod disk;
mod launch;
mod network;
mod process;
mod role;

pub use builder::{Builder, Host};
pub use cluster::Cluster;
pub use data::write_small_data;
pub use disk::Backup;
pub use launch::{Finished, program, run, two_free_ports};
pub use network::{Cut, Network};
pub use role::Role;
