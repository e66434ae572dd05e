//! Disks that are full, that fail, and that are cut off within a sync.

// The harness sends signals.
#![cfg(target_os = "linux")]

mod support;

use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use backfence_client::Error;
use backfence_cluster::{Cluster, Role};
use support::{
    change, converged, drained,
    ledger::{Load, cycles, draw, seed},
    online, rate, session, until, view, works,
};
use tempfile::TempDir;

const ONE: Role = Role::Replica(1);
/// Within this a replica ends whose disk takes nothing: what is waited for has its own,
/// shorter limits.
const SOON: Duration = Duration::from_secs(10);

/// A disk in memory that is soon full.
struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// `None` where it cannot be made, which is said.
    fn mount(test: &str) -> Option<Self> {
        let folder = TempDir::with_prefix("backfence-disk-").expect("a temporary folder");
        let path = folder.path().display().to_string();
        let mount = ["-t", "tmpfs", "-o", "size=8m", "backfence", &path];
        if works("mount", &mount) {
            Some(Self { folder })
        } else {
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED {test}: mounting a small tmpfs needs root"
            );
            None
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    /// Takes all the room that there is.
    fn fill(&self) {
        let mut filler = File::create(self.filler()).expect("there is room for a name");
        let mut piece = vec![1; 1 << 16];
        loop {
            match filler.write(&piece) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                    if piece.len() == 1 {
                        return;
                    }
                    piece.truncate(piece.len() / 2);
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.filler()).expect("it is full");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Also while something still uses it.
        works("umount", &["-l", &self.path().display().to_string()]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_passed_over_until_there_is_room() {
    let Some(disk) = SmallDisk::mount("a_full_disk_is_passed_over_until_there_is_room") else {
        return;
    };
    let mut cluster = Cluster::builder()
        .data_dirs(true)
        .start()
        .expect("a cluster");
    cluster.kill(ONE).expect("it is killed");
    let on_small_disk = |args: &mut Vec<String>| {
        args.retain(|arg| arg != "--data-dir");
        let at = args
            .iter()
            .position(|arg| arg.ends_with("disk1"))
            .expect("its directory");
        args[at] = format!("--data-dir={}", disk.path().join("disk1").display());
    };
    cluster.restart_with(ONE, on_small_disk).expect("it starts");
    let load = Load::start(&cluster, 6).await;
    load.acknowledged(40).await;
    disk.fill();
    cluster
        .wait_for_log(ONE, &["no space left", "updates are declined"])
        .expect("it notices");
    load.acknowledged(100).await;
    disk.make_room();
    cluster
        .wait_for_log(ONE, &["there is room"])
        .expect("it notices");
    let mut session = session(&cluster, 3).await;
    let used = async |session: &mut _| (rate(session, 7, "1.5").await == Ok(1)).then_some(());
    until("server 1 takes updates again", &mut session, used).await;
    load.end(&cluster, 3).await;

    // Now without the room that the replica holds for this.
    let load = Load::start(&cluster, 6).await;
    std::fs::remove_file(disk.path().join("disk1/reserve")).expect("room is held");
    disk.fill();
    until("it is full again", &mut session, async |_| {
        let log = cluster.log(ONE);
        (log.matches("until then updates are declined").count() == 2).then_some(())
    })
    .await;
    let asked = Instant::now();
    assert_eq!(cluster.terminate(ONE).expect("it ends"), Some(0));
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    disk.make_room();
    cluster
        .restart_with(ONE, on_small_disk)
        .expect("it comes back");
    load.acknowledged(20).await;
    load.end(&cluster, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alone_on_a_full_disk_updates_fail_and_reads_go_on() {
    let Some(disk) = SmallDisk::mount("alone_on_a_full_disk_updates_fail_and_reads_go_on") else {
        return;
    };
    let cluster = Cluster::builder()
        .replicas(1)
        .data_dirs_in(disk.path())
        .start()
        .expect("a cluster");
    let mut session = session(&cluster, 1).await;
    rate(&mut session, 1, "0.5").await.expect("it is taken");
    disk.fill();
    let mut last = "0.5".to_owned();
    let error = until("the disk is full", &mut session, async |session| {
        for stars in ["1.5", "2.5"] {
            match rate(session, 1, stars).await {
                Ok(_) => stars.clone_into(&mut last),
                Err(error) => return Some(error),
            }
        }
        None
    })
    .await;
    // The first one may have been under way.
    assert!(
        matches!(error, Error::AllBusy | Error::OutcomeUnknown { .. }),
        "{error}"
    );
    assert_eq!(rate(&mut session, 1, "5").await, Err(Error::AllBusy));
    view(&mut session, 1).await.expect("reads go on");
    disk.make_room();
    until("updates are taken again", &mut session, async |session| {
        rate(session, 1, "4.5").await.ok()
    })
    .await;
    assert_eq!(view(&mut session, 1).await.as_deref(), Ok("4.5"));
}

/// Whether programs can be traced here; it is said where they cannot.
fn can_trace(test: &str) -> bool {
    let can = works("strace", &["-D", "-f", "-o", "/dev/null", "true"]);
    if !can {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED {test}: strace is missing, or may not trace"
        );
    }
    can
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_within_a_sync_loses_nothing() {
    if !can_trace("a_crash_within_a_sync_loses_nothing") {
        return;
    }
    let mut cluster = Cluster::builder()
        .data_dirs(true)
        .start()
        .expect("a cluster");
    let load = Load::start(&cluster, 6).await;
    let mut random = seed();
    let faults = [("signal=SIGKILL", None), ("error=EIO", Some(1))];
    for cycle in 0..cycles(3) {
        let (fault, ends) = faults[cycle % faults.len()];
        load.acknowledged(10).await;
        cluster.kill(ONE).expect("it is killed");
        let sync = 1 + draw(&mut random) % 40;
        println!("{fault} at sync {sync}");
        let inject = format!("inject=fdatasync:{fault}:when={sync}");
        let strace = ["strace", "-D", "-f", "-q", "-o", "/dev/null", "-e", &inject];
        // An early fault comes before it is ready.
        if let Err(error) = cluster.restart_under(ONE, &strace) {
            println!("{error:#}");
        }
        assert_eq!(
            cluster.wait_for_end(ONE).expect("it ends"),
            ends,
            "{fault} at {sync}"
        );
        cluster.restart(ONE).expect("it comes back");
    }
    load.acknowledged(20).await;
    load.end(&cluster, 3).await;
    let mut session = session(&cluster, 3).await;
    online(&mut session, 3).await;
    rate(&mut session, 1, "0.5").await.expect("it is taken");
    converged(&mut session, 3).await;
    change(&mut session, &[2, 3]).await;
    assert_eq!(view(&mut session, 1).await.as_deref(), Ok("0.5"));
    change(&mut session, &[2, 3]).await;
    drained(&mut session, 3).await;
}
