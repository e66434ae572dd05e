//! What can be done to the directory of a replica that does not run.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};

use crate::{Cluster, Role, builder::Disks};

/// A copy of a replica's directory, as it was. It goes with the cluster.
#[derive(Clone, Debug)]
pub struct Backup {
    replica: u32,
    folder: PathBuf,
}

impl Backup {
    /// The replica whose directory it was.
    pub const fn replica(&self) -> u32 {
        self.replica
    }
}

impl Cluster {
    /// Where this replica keeps what it has, if it does.
    pub fn data_dir(&self, replica: u32) -> Option<PathBuf> {
        let folder = match &self.builder.disks {
            Disks::None => return None,
            Disks::Own => self.folder(),
            Disks::In(folder) => folder,
        };
        Some(folder.join(format!("disk{replica}")))
    }

    /// Copies the directory of a replica that does not run.
    ///
    /// # Errors
    ///
    /// If it runs, keeps nothing, or has a directory that cannot be read.
    pub fn back_up(&mut self, replica: u32) -> anyhow::Result<Backup> {
        let directory = self.unused(replica)?;
        let prefix = format!("backup{replica}-");
        let folder = tempfile::Builder::new()
            .prefix(&prefix)
            .tempdir_in(self.folder())
            .context("cannot make a folder for a backup")?
            .keep();
        copy(&directory, &folder)?;
        Ok(Backup { replica, folder })
    }

    /// Puts a copy in place of the directory of a replica that does not run.
    ///
    /// # Errors
    ///
    /// If it runs, or its directory cannot be written.
    pub fn restore(&mut self, backup: &Backup) -> anyhow::Result<()> {
        self.wipe(backup.replica)?;
        let directory = self.unused(backup.replica)?;
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        copy(&backup.folder, &directory)
    }

    /// Removes the directory of a replica that does not run.
    ///
    /// # Errors
    ///
    /// If it runs, keeps nothing, or its directory cannot be removed.
    pub fn wipe(&mut self, replica: u32) -> anyhow::Result<()> {
        let directory = self.unused(replica)?;
        match fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", directory.display()))
            }
            _ => Ok(()),
        }
    }

    fn unused(&mut self, replica: u32) -> anyhow::Result<PathBuf> {
        let role = Role::Replica(replica);
        ensure!(!self.is_running(role), "{role} still runs; kill it first");
        self.data_dir(replica)
            .with_context(|| format!("{role} keeps nothing; start the cluster with data_dirs"))
    }
}

/// All files; there are no folders in it.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let copied = || -> io::Result<()> {
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
        Ok(())
    };
    copied().with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}
