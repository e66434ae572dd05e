//! The cluster and what can be done to it.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use tempfile::TempDir;

use crate::{
    Builder, Role,
    builder::Disks,
    data::{write_key, write_small_data},
    launch::program,
    process::{Process, Signal},
};

/// How long programs may take to become ready, to log what is waited for, or to
/// end: far more than they need, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The cluster key's file, in the cluster's folder.
const KEY: &str = "cluster.key";

/// A registry, replicas and front ends: real programs on this machine.
#[derive(Debug)]
pub struct Cluster {
    /// Also those that were killed, for their logs.
    running: BTreeMap<Role, Running>,
    pub(crate) builder: Builder,
    data: PathBuf,
    /// Where the registry listens: it comes back there.
    registry: String,
    /// How many programs were started, to tell their files apart.
    starts: u32,
    /// `None` only while being dropped.
    folder: Option<TempDir>,
}

#[derive(Debug)]
struct Running {
    process: Process,
    /// `host:port`; empty until it is known.
    address: String,
}

impl Cluster {
    /// A cluster of three replicas and one front end, until told otherwise.
    pub const fn builder() -> Builder {
        Builder {
            replicas: 3,
            front_ends: 1,
            overload_probability: 0.0,
            gossip_interval: None,
            log_budget: None,
            late: None,
            data: None,
            disks: Disks::None,
            hosts: BTreeMap::new(),
            wire: BTreeMap::new(),
            keyed: false,
        }
    }

    /// The registry, as `http://host:port`.
    pub fn registry(&self) -> String {
        format!("http://{}", self.registry)
    }

    /// The file of its key, which makes an operator.
    pub fn key(&self) -> PathBuf {
        self.folder().join(KEY)
    }

    /// A front end, as `http://host:port`.
    ///
    /// # Panics
    ///
    /// If there is none of this number.
    pub fn front_end(&self, number: u32) -> String {
        format!("http://{}", self.address(Role::FrontEnd(number)))
    }

    /// Where a program listens, as `host:port`.
    ///
    /// # Panics
    ///
    /// If it was never started.
    pub fn address(&self, role: Role) -> &str {
        &self.running(role).address
    }

    /// The process id of a program.
    ///
    /// # Panics
    ///
    /// If it was never started.
    pub fn process_id(&self, role: Role) -> u32 {
        self.running(role).process.id()
    }

    /// What a program has logged since it was last started. What it did a moment
    /// ago may not stand there yet: see [`wait_for_log`](Self::wait_for_log).
    ///
    /// # Panics
    ///
    /// If it was never started.
    pub fn log(&self, role: Role) -> String {
        self.running(role).process.stderr.text()
    }

    /// Waits until a program has logged a line that contains all of these texts.
    ///
    /// # Errors
    ///
    /// If it ends, or 30 s pass, without.
    ///
    /// # Panics
    ///
    /// If it was never started.
    pub fn wait_for_log(&self, role: Role, texts: &[&str]) -> anyhow::Result<()> {
        let wanted = |line: &str| texts.iter().all(|text| line.contains(text)).then_some(());
        let process = &self.running(role).process;
        process.wait_for_log(&texts.join(" ... "), deadline(), wanted)
    }

    /// Kills a program, as `kill -9` does, and waits until it is gone.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn kill(&mut self, role: Role) -> anyhow::Result<()> {
        let process = &mut self.running_mut(role).process;
        process.send(Signal::Kill)?;
        process.wait(deadline())?;
        Ok(())
    }

    /// Asks a program to end, and waits until it has. Gives its exit code, or
    /// `None` if a signal ended it.
    ///
    /// # Errors
    ///
    /// If it does not run, or goes on running.
    pub fn terminate(&mut self, role: Role) -> anyhow::Result<Option<i32>> {
        let process = &mut self.running_mut(role).process;
        process.send(Signal::Terminate)?;
        Ok(process.wait(deadline())?.code())
    }

    /// Halts a program where it is, until [`cont`](Self::cont).
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn stop(&self, role: Role) -> anyhow::Result<()> {
        self.running(role).process.send(Signal::Stop)
    }

    /// Lets a halted program go on.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn cont(&self, role: Role) -> anyhow::Result<()> {
        self.running(role).process.send(Signal::Continue)
    }

    /// Starts a program, anew if there was one, and waits until it is ready. The
    /// registry comes back at its address, the others at new ones.
    ///
    /// # Errors
    ///
    /// If it cannot be started, ends, or is not ready in time.
    pub fn restart(&mut self, role: Role) -> anyhow::Result<()> {
        self.restart_with(role, |_| {})
    }

    /// The same with other [`arguments`](Self::arguments), for this start only.
    ///
    /// # Errors
    ///
    /// If it cannot be started, ends, or is not ready in time.
    pub fn restart_with(
        &mut self,
        role: Role,
        change: impl FnOnce(&mut Vec<String>),
    ) -> anyhow::Result<()> {
        self.launch(role, change)?;
        self.wait_until_ready(role)
    }

    /// The same, and does not [wait](Self::wait_until_ready) until it is ready.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn launch(
        &mut self,
        role: Role,
        change: impl FnOnce(&mut Vec<String>),
    ) -> anyhow::Result<()> {
        self.launch_under(role, &[], change)
    }

    /// The same under another program, such as `strace`, which runs ours as itself or
    /// passes signals on.
    ///
    /// # Errors
    ///
    /// If it cannot be started, ends, or is not ready in time.
    pub fn restart_under(&mut self, role: Role, wrapper: &[&str]) -> anyhow::Result<()> {
        self.launch_under(role, wrapper, |_| {})?;
        self.wait_until_ready(role)
    }

    /// Starts these programs at once, and waits until all are ready.
    ///
    /// # Errors
    ///
    /// If one cannot be started, ends, or is not ready in time.
    pub fn restart_all(&mut self, roles: &[Role]) -> anyhow::Result<()> {
        for &role in roles {
            self.launch(role, |_| {})?;
        }
        roles
            .iter()
            .try_for_each(|&role| self.wait_until_ready(role))
    }

    /// Waits until a program has ended by itself. Gives its exit code, or `None` if a
    /// signal ended it.
    ///
    /// # Errors
    ///
    /// If it goes on running.
    ///
    /// # Panics
    ///
    /// If it was never started.
    pub fn wait_for_end(&mut self, role: Role) -> anyhow::Result<Option<i32>> {
        Ok(self.running_mut(role).process.wait(deadline())?.code())
    }

    /// Starts one more replica, with the next number, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// If it cannot be started, ends, or is not ready in time.
    pub fn add_replica(&mut self) -> anyhow::Result<u32> {
        self.builder.replicas += 1;
        self.restart(Role::Replica(self.builder.replicas))?;
        Ok(self.builder.replicas)
    }

    /// From its next start on a replica speaks no version of the wire above `newest`, as an
    /// older program would; `None` for all that it can.
    pub fn speak(&mut self, replica: u32, newest: Option<u32>) {
        match newest {
            Some(newest) => self.builder.wire.insert(replica, newest),
            None => self.builder.wire.remove(&replica),
        };
    }

    /// The arguments with which a program of this cluster is started.
    pub fn arguments(&self, role: Role) -> Vec<String> {
        let mut args: Vec<String> = Vec::new();
        if self.builder.hosts.contains_key(&role) {
            args.push("--insecure".to_owned());
        }
        let mut flag = |name: &str, value: &dyn fmt::Display| {
            args.extend([format!("--{name}"), value.to_string()]);
        };
        flag("log", &"info");
        flag("log-format", &"human");
        if self.builder.keyed || matches!(role, Role::FrontEnd(_)) {
            flag("cluster-key", &self.key().display());
        }
        if role == Role::Registry {
            flag("listen", &self.registry);
            return args;
        }
        flag("listen", &self.builder.any_port(role));
        flag("registry", &self.registry());
        match role {
            Role::Replica(number) => {
                flag("server", &number);
                flag("movies", &self.data.join("movies.csv").display());
                flag("ratings", &self.data.join("ratings.csv").display());
                flag("overload-probability", &self.builder.overload_probability);
                if let Some(interval) = &self.builder.gossip_interval {
                    flag("gossip-interval", interval);
                }
                if let Some(bytes) = &self.builder.log_budget {
                    flag("log-budget", bytes);
                }
                if let Some(late) = &self.builder.late {
                    flag("late", late);
                }
                if let Some(newest) = self.builder.wire.get(&number) {
                    flag("wire-newest", newest);
                }
                if let Some(directory) = self.data_dir(number) {
                    flag("data-dir", &directory.display());
                    flag("base-dir", &directory.with_file_name("base").display());
                }
            }
            // Clients ask for the first by this name.
            Role::FrontEnd(1) => flag("name", &"FRONTEND"),
            Role::FrontEnd(number) => flag("name", &format_args!("FRONTEND{number}")),
            Role::Registry => {}
        }
        if matches!(role, Role::FrontEnd(_)) && !self.builder.keyed {
            args.push("--accept-keyless".to_owned());
        }
        args
    }

    pub(crate) fn start(builder: Builder) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("backfence-").context("cannot make a folder for logs")?;
        let data = match &builder.data {
            Some(data) => data.clone(),
            None => {
                write_small_data(folder.path(), "The Last One")?;
                folder.path().to_owned()
            }
        };
        write_key(&folder.path().join(KEY))?;
        let registry = builder.any_port(Role::Registry);
        let mut cluster = Self {
            running: BTreeMap::new(),
            builder,
            data,
            registry,
            starts: 0,
            folder: Some(folder),
        };
        cluster.restart(Role::Registry)?;
        cluster.start_all()?;
        Ok(cluster)
    }

    fn start_all(&mut self) -> anyhow::Result<()> {
        let replicas = (1..=self.builder.replicas).map(Role::Replica);
        let front_ends = (1..=self.builder.front_ends).map(Role::FrontEnd);
        let roles: Vec<_> = replicas.chain(front_ends).collect();
        self.restart_all(&roles)
    }

    fn launch_under(
        &mut self,
        role: Role,
        wrapper: &[&str],
        change: impl FnOnce(&mut Vec<String>),
    ) -> anyhow::Result<()> {
        // Its predecessor has to be gone before it asks for the same name.
        self.running.remove(&role);
        self.starts += 1;
        let name = format!("{:02}-{role}", self.starts);
        let (program, mut args) = (program(role.program())?, self.arguments(role));
        change(&mut args);
        let (program, args) = wrapped(wrapper, program, args);
        let host = self.builder.hosts.get(&role);
        let (program, args) = match host {
            Some(host) => wrapped(&host.wrapper, program, args),
            None => (program, args),
        };
        let process = Process::start(&name, &program, &args, b"", self.folder())?;
        let address = String::new();
        self.running.insert(role, Running { process, address });
        Ok(())
    }

    /// Waits until a program that was launched is ready.
    ///
    /// # Errors
    ///
    /// If it ends, or is not ready in time.
    ///
    /// # Panics
    ///
    /// If it was never started.
    pub fn wait_until_ready(&mut self, role: Role) -> anyhow::Result<()> {
        let process = &self.running(role).process;
        let ready = role.ready_line();
        let after_ready = |line: &str| line.strip_prefix(ready).map(str::to_owned);
        let rest = process.wait_for_line(ready, deadline(), after_ready)?;
        if role == Role::Registry {
            let Some(address) = rest.trim().strip_prefix("http://") else {
                bail!(process.trouble("did not say where it listens"));
            };
            self.registry = address.to_owned();
            self.running_mut(role).address = self.registry.clone();
            return Ok(());
        }
        // A program logs the address under which it has registered.
        let address = process.wait_for_log("registered ... address=", deadline(), |line| {
            let (_, rest) = line.split_once("registered")?.1.split_once("address=")?;
            Some(rest.split_whitespace().next()?.to_owned())
        })?;
        self.running_mut(role).address = address;
        Ok(())
    }

    /// Whether it was started and has not ended.
    pub(crate) fn is_running(&mut self, role: Role) -> bool {
        let running = self.running.get_mut(&role);
        running.is_some_and(|running| running.process.is_running())
    }

    fn running(&self, role: Role) -> &Running {
        let found = self.running.get(&role);
        found.unwrap_or_else(|| panic!("{role} was never started in this cluster"))
    }

    fn running_mut(&mut self, role: Role) -> &mut Running {
        let found = self.running.get_mut(&role);
        found.unwrap_or_else(|| panic!("{role} was never started in this cluster"))
    }

    /// Keeps the logs and directories when the cluster goes, and says where.
    pub fn keep(&mut self) -> PathBuf {
        if let Some(folder) = &mut self.folder {
            folder.disable_cleanup(true);
        }
        self.folder().to_owned()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.as_ref().expect("it lives as long").path()
    }
}

impl Drop for Cluster {
    /// After a panic the logs are kept, and their ends shown.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for running in self.running.values() {
            eprintln!("{}", running.process.trouble("was in the cluster"));
        }
        if let Some(folder) = self.folder.take() {
            eprintln!("the logs are kept in {}", folder.keep().display());
        }
    }
}

/// What to start so that `wrapper` runs the program.
fn wrapped(
    wrapper: &[impl AsRef<str>],
    program: PathBuf,
    args: Vec<String>,
) -> (PathBuf, Vec<String>) {
    let Some((first, rest)) = wrapper.split_first() else {
        return (program, args);
    };
    let rest = rest.iter().map(|arg| arg.as_ref().to_owned());
    let all = rest.chain([program.display().to_string()]).chain(args);
    (first.as_ref().into(), all.collect())
}

fn deadline() -> Instant {
    Instant::now() + PATIENCE
}
