//! What is done, so that a long run can be resumed.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    ops::Range,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use backfence_simulation::Report;
use serde::{Deserialize, Serialize};

/// Seeds that were run without a broken promise.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Batch {
    from: u64,
    to: u64,
    invalid: u64,
    report: Report,
    /// With programs of two versions.
    #[serde(default, skip_serializing_if = "is_false")]
    versions: bool,
}

const fn is_false(versions: &bool) -> bool {
    !*versions
}

impl Batch {
    pub(crate) fn new(seeds: &Range<u64>) -> Self {
        Self {
            from: seeds.start,
            to: seeds.end,
            invalid: 0,
            report: Report::default(),
            versions: false,
        }
    }

    pub(crate) fn add(&mut self, report: &Report) {
        self.invalid += u64::from(!report.is_valid());
        self.report += *report;
    }
}

/// All batches that were run, here or according to a file with one a line: with programs of
/// two versions, or those without.
pub(crate) struct Done {
    versions: bool,
    batches: Vec<Batch>,
    file: Option<(File, PathBuf)>,
}

impl Done {
    /// Nothing is done yet.
    pub(crate) const fn new(versions: bool) -> Self {
        Self {
            versions,
            batches: Vec::new(),
            file: None,
        }
    }

    /// Reads a file, or begins one. A last line that was not written to its end is cut
    /// off: its seeds are run again.
    pub(crate) fn open(&mut self, path: &Path) -> anyhow::Result<()> {
        let named = || format!("cannot open {}", path.display());
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .open(path)
            .with_context(named)?;
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(named)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        file.set_len(whole as u64).with_context(named)?;
        let batch = |(number, line): (usize, &str)| -> anyhow::Result<Batch> {
            serde_json::from_str(line).with_context(|| {
                let number = number + 1;
                format!(
                    "{}:{number} is no batch of seeds; is it another file?",
                    path.display()
                )
            })
        };
        let mut batches = text[..whole]
            .lines()
            .enumerate()
            .map(batch)
            .collect::<anyhow::Result<Vec<_>>>()?;
        batches.retain(|batch| batch.versions == self.versions);
        self.batches = batches;
        self.file = Some((file, path.to_owned()));
        Ok(())
    }

    pub(crate) fn has(&self, seeds: &Range<u64>) -> bool {
        self.batches
            .iter()
            .any(|batch| batch.from <= seeds.start && seeds.end <= batch.to)
    }

    pub(crate) fn add(&mut self, batch: Batch) -> anyhow::Result<()> {
        let versions = self.versions;
        let batch = Batch { versions, ..batch };
        if let Some((file, path)) = &mut self.file {
            let line = serde_json::to_string(&batch)? + "\n";
            file.write_all(line.as_bytes())
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        self.batches.push(batch);
        Ok(())
    }

    /// What the runs within `seeds` amounted to, and how many were invalid. A batch
    /// that was run again as part of a larger one counts once.
    pub(crate) fn total(&self, seeds: &Range<u64>) -> (Report, u64) {
        let size = |batch: &Batch| batch.to - batch.from;
        let again = |batch: &Batch| {
            let within = |other: &&Batch| other.from <= batch.from && batch.to <= other.to;
            let mut larger = self.batches.iter().filter(within);
            larger.any(|other| size(other) > size(batch))
        };
        let mut total = (Report::default(), 0);
        for batch in &self.batches {
            if seeds.start <= batch.from && batch.to <= seeds.end && !again(batch) {
                total.0 += batch.report;
                total.1 += batch.invalid;
            }
        }
        total
    }
}
