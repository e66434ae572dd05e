//! The data are read once and kept beside the replicas' directories, for all of them.

use std::fs;

use backfence_cluster::{Cluster, Role};

#[test]
fn replicas_of_a_machine_share_one_base_and_find_it_again() -> anyhow::Result<()> {
    let mut cluster = Cluster::builder().replicas(2).data_dirs(true).start()?;
    let both = [Role::Replica(1), Role::Replica(2)];
    let made = |cluster: &Cluster| {
        let logs = both.map(|role| cluster.log(role));
        logs.iter()
            .filter(|log| log.contains("made the base"))
            .count()
    };
    for role in both {
        cluster.wait_for_log(role, &["the base", ".base"])?;
    }
    assert_eq!(made(&cluster), 1, "one makes it, the other finds it");

    let disk = cluster.data_dir(1).expect("it keeps what it has");
    let folder = disk.with_file_name("base");
    let file = fs::read_dir(&folder)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|end| end == "base"))
        .expect("it is kept there");
    cluster.kill(Role::Replica(1))?;
    cluster.restart(Role::Replica(1))?;
    cluster.wait_for_log(Role::Replica(1), &["found the base"])?;

    // Torn under the nose of the other, which has the whole one mapped.
    let half = fs::read(&file)?.split_off(100);
    fs::remove_file(&file)?;
    fs::write(&file, half)?;
    cluster.kill(Role::Replica(1))?;
    cluster.restart(Role::Replica(1))?;
    cluster.wait_for_log(Role::Replica(1), &["made the base", "it is"])?;
    Ok(())
}
