//! The power fails under load: what was not synced is gone, on all disks at once.

// The harness mounts file systems, and sends signals.
#![cfg(target_os = "linux")]

mod support;

use std::io::Write as _;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use backfence_cluster::{Cluster, Role};
use support::{
    ledger::{Load, cycles, draw, seed},
    works,
};
use tempfile::TempDir;

const REPLICAS: [Role; 3] = [Role::Replica(1), Role::Replica(2), Role::Replica(3)];
/// Far more than three replicas of a small data set write.
const DISK_BYTES: u64 = 256 << 20;
/// `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`: from now on nothing reaches
/// the disk, not even the journal. A call of the kernel with a pointer is nothing that
/// safe Rust can do.
const SHUT_DOWN: &str = "\
import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', 2))";

/// An ext4 in a file, of which only that remains which was synced.
struct Disk {
    image: PathBuf,
    mounted: PathBuf,
    _folder: TempDir,
}

impl Disk {
    /// `None` where it cannot be made, or cannot lose its power, which is said.
    fn mount(test: &str) -> Option<Self> {
        let folder = TempDir::with_prefix("backfence-power-").expect("a temporary folder");
        let image = folder.path().join("image");
        let mounted = folder.path().join("mounted");
        fs::create_dir(&mounted).expect("a new folder");
        let file = File::create(&image).expect("a new file");
        file.set_len(DISK_BYTES).expect("a file with holes");
        let disk = Self {
            image,
            mounted,
            _folder: folder,
        };
        let made = works("mkfs.ext4", &["-q", "-F", &text(&disk.image)])
            && disk.attach()
            && disk.lose_power()
            && disk.come_back();
        if !made {
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED {test}: it needs root, a loop device, mkfs.ext4 and python3"
            );
        }
        made.then_some(disk)
    }

    fn attach(&self) -> bool {
        let (image, mounted) = (text(&self.image), text(&self.mounted));
        works("mount", &["-t", "ext4", "-o", "loop", &image, &mounted])
    }

    fn lose_power(&self) -> bool {
        works("python3", &["-c", SHUT_DOWN, &text(&self.mounted)])
    }

    /// Mounts it anew, once nobody uses it any more.
    fn come_back(&self) -> bool {
        works("umount", &[&text(&self.mounted)]) && self.attach()
    }

    /// A new file that nobody syncs.
    fn unsynced(&self, cycle: usize) -> PathBuf {
        self.mounted.join(format!("unsynced{cycle}"))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Also while something still uses it; the loop device goes with the last use.
        works("umount", &["-l", &text(&self.mounted)]);
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_with_the_power() {
    let Some(disk) = Disk::mount("nothing_acknowledged_is_lost_with_the_power") else {
        return;
    };
    let mut cluster = Cluster::builder()
        .data_dirs_in(&disk.mounted)
        .start()
        .expect("a cluster");
    let load = Load::start(&cluster, 6).await;
    let mut random = seed();
    for cycle in 0..cycles(2) {
        load.acknowledged(10 + draw(&mut random) % 200).await;
        fs::write(disk.unsynced(cycle), b"lost").expect("there is room");
        // Whoever still ran could tell what the kernel reports to be synced after the
        // power is gone: a commit of the journal that failed for one is taken for done
        // by another. So all stand still, then the power goes.
        for role in REPLICAS {
            cluster.stop(role).expect("it stops");
        }
        assert!(disk.lose_power(), "it did so before");
        for role in REPLICAS {
            cluster.kill(role).expect("it is killed");
        }
        assert!(disk.come_back(), "nobody uses it");
        // A sync of others may have kept its name, but not what is in it.
        let kept = fs::read(disk.unsynced(cycle)).unwrap_or_default();
        assert!(kept.is_empty(), "the disk has forgotten nothing");
        cluster.restart_all(&REPLICAS).expect("they come back");
        println!("cycle {cycle}: all came back");
    }
    load.acknowledged(20).await;
    let ledger = load.end(&cluster, 3).await;
    println!("{} updates were acknowledged", ledger.len());
}
