//! Completions and man pages, made from the command line itself.

use std::{fs, io, path::Path};

use backfence_process::{Exit, Failure};
use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::Args;

/// The completions for a shell, on stdout.
pub(crate) fn completions(shell: Shell) -> anyhow::Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "backfence", &mut text);
    backfence_process::print(String::from_utf8_lossy(&text))?;
    Ok(())
}

/// The man page on stdout, or those of all commands in a folder.
pub(crate) fn man(folder: Option<&Path>) -> anyhow::Result<()> {
    let command = Args::command();
    match folder {
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            backfence_process::print(String::from_utf8_lossy(&page))?;
        }
        Some(folder) => {
            let cannot = |error: io::Error| {
                let message = format!("cannot write man pages to {}: {error}", folder.display());
                Failure::new(Exit::Usage, message)
            };
            fs::create_dir_all(folder).map_err(cannot)?;
            clap_mangen::generate_to(command, folder).map_err(cannot)?;
        }
    }
    Ok(())
}
