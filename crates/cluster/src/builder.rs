//! What a cluster is to look like.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use crate::{Cluster, Role};

/// What the cluster to be started looks like.
#[derive(Clone, Debug)]
pub struct Builder {
    pub(crate) replicas: u32,
    pub(crate) front_ends: u32,
    pub(crate) overload_probability: f64,
    pub(crate) gossip_interval: Option<String>,
    pub(crate) log_budget: Option<u64>,
    pub(crate) late: Option<String>,
    pub(crate) data: Option<PathBuf>,
    pub(crate) disks: Disks,
    pub(crate) hosts: BTreeMap<Role, Host>,
    pub(crate) wire: BTreeMap<u32, u32>,
    pub(crate) keyed: bool,
}

/// Where a program runs, in place of this host's loopback.
#[derive(Clone, Debug)]
pub struct Host {
    /// Where it listens.
    pub address: IpAddr,
    /// What starts it there, such as `ip netns exec NAME`; it must run it as itself.
    pub wrapper: Vec<String>,
}

/// Where replicas keep what they have.
#[derive(Clone, Debug)]
pub(crate) enum Disks {
    /// In memory only.
    None,
    /// In the cluster's folder.
    Own,
    /// In a folder that outlives the cluster.
    In(PathBuf),
}

impl Builder {
    /// Whether all programs prove to each other that they have the cluster's key; not unless
    /// said otherwise, and then only operators and sessions need it.
    pub const fn keyed(mut self, keyed: bool) -> Self {
        self.keyed = keyed;
        self
    }

    /// The number of replicas; 3 unless said otherwise.
    #[must_use]
    pub fn replicas(self, replicas: u32) -> Self {
        Self { replicas, ..self }
    }

    /// The number of front ends; 1 unless said otherwise.
    #[must_use]
    pub fn front_ends(self, front_ends: u32) -> Self {
        Self { front_ends, ..self }
    }

    /// How often a replica calls itself over-loaded, from 0 to 1; never unless
    /// said otherwise.
    #[must_use]
    pub fn overload_probability(self, overload_probability: f64) -> Self {
        Self {
            overload_probability,
            ..self
        }
    }

    /// How often replicas gossip without a cause, such as `100ms`; else the
    /// default of the replica.
    #[must_use]
    pub fn gossip_interval(self, interval: &str) -> Self {
        Self {
            gossip_interval: Some(interval.to_owned()),
            ..self
        }
    }

    /// How many bytes of log a replica keeps for those who are away; else the default of
    /// the replica.
    #[must_use]
    pub fn log_budget(self, bytes: u64) -> Self {
        Self {
            log_budget: Some(bytes),
            ..self
        }
    }

    /// How long ago an update may have been made, such as `2s`; else the default of the
    /// replica.
    #[must_use]
    pub fn late(self, late: &str) -> Self {
        Self {
            late: Some(late.to_owned()),
            ..self
        }
    }

    /// The folder with `movies.csv` and `ratings.csv`; unless said otherwise,
    /// a few movies ([`write_small_data`](crate::write_small_data)).
    #[must_use]
    pub fn data(self, folder: impl Into<PathBuf>) -> Self {
        Self {
            data: Some(folder.into()),
            ..self
        }
    }

    /// Whether each replica keeps what it has on disk, in a directory of its own
    /// ([`data_dir`](Cluster::data_dir)) that outlives the process and goes with the
    /// cluster. Not unless said otherwise.
    #[must_use]
    pub fn data_dirs(self, kept: bool) -> Self {
        let disks = if kept { Disks::Own } else { Disks::None };
        Self { disks, ..self }
    }

    /// The same with the directories in this folder. They stay there.
    #[must_use]
    pub fn data_dirs_in(self, folder: impl Into<PathBuf>) -> Self {
        Self {
            disks: Disks::In(folder.into()),
            ..self
        }
    }

    /// Has a replica speak no version of the wire above `newest`, as an older program would.
    #[must_use]
    pub fn wire_newest(mut self, replica: u32, newest: u32) -> Self {
        self.wire.insert(replica, newest);
        self
    }

    /// Runs a program elsewhere than on loopback, always.
    #[must_use]
    pub fn host(mut self, role: Role, host: Host) -> Self {
        self.hosts.insert(role, host);
        self
    }

    /// Starts the registry, then everything else at once, and waits until all are
    /// ready.
    ///
    /// # Errors
    ///
    /// If a program is missing, ends, or is not ready in time.
    pub fn start(self) -> anyhow::Result<Cluster> {
        Cluster::start(self)
    }

    /// Where a program is told to listen.
    pub(crate) fn any_port(&self, role: Role) -> String {
        let host = self.hosts.get(&role);
        let address = host.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |host| host.address);
        SocketAddr::new(address, 0).to_string()
    }
}
