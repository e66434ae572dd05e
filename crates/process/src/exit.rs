//! How programs end.

use std::{future::Future, process::ExitCode};

use crate::{BindError, DiscoveryError, InvalidAddress, InvalidName, KeyError, OutputError};

/// What a program's exit code says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Exit {
    /// Done, also when there was nothing to show and at the end of input.
    Done = 0,
    /// A fault of ours.
    Internal = 1,
    /// The command line, the environment or a file given there is wrong.
    Usage = 2,
    /// What was asked for does not exist.
    NotFound = 3,
    /// What was asked for is ambiguous, or was refused.
    Refused = 4,
    /// Who should answer is not there, or will not serve.
    Unavailable = 5,
    /// There was no answer in time, or fewer copies than asked for.
    OutOfTime = 6,
    /// The update may or may not take effect.
    OutcomeUnknown = 7,
    /// Ended by Ctrl-C before it was done.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error that says which code the program ends with.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    code: Exit,
    message: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Failure {
    /// A failure without another cause.
    pub fn new(code: Exit, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            source: None,
        }
    }

    /// The same failure with its cause, which follows in the message.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(cause.into());
        self
    }

    /// The code that the program ends with.
    pub fn code(&self) -> Exit {
        self.code
    }
}

/// A program: reads the command line, runs the body in a runtime, and ends with
/// the code that its error carries (a [`Failure`], or an error of this crate;
/// else [`Exit::Internal`]), after a line `error: ...` with the whole chain of
/// causes on stderr. A wrong command line ends with [`Exit::Usage`].
///
/// What still runs when the body returns is dropped, not waited for.
pub fn main<A, F>(body: impl FnOnce(A) -> F) -> ExitCode
where
    A: clap::Parser,
    F: Future<Output = anyhow::Result<()>>,
{
    let args = A::parse();
    let result = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| anyhow::Error::new(error).context("cannot start the runtime's threads"))
        .and_then(|runtime| {
            let result = runtime.block_on(body(args));
            // A thread that waits for a line of input would hold the program.
            runtime.shutdown_background();
            result
        });
    match result {
        Ok(()) => Exit::Done.into(),
        Err(error) => report(&error).into(),
    }
}

fn report(error: &anyhow::Error) -> Exit {
    let code = code_of(error);
    if code != Exit::Done {
        let line = format!("{error:#}").replace(['\n', '\r'], " ");
        // If stderr is closed, nobody reads it; the code still says something.
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            format!("error: {line}\n").as_bytes(),
        );
    }
    code
}

/// The outermost cause that has a code decides.
fn code_of(error: &anyhow::Error) -> Exit {
    error
        .chain()
        .find_map(|cause| {
            let failure = cause.downcast_ref().map(Failure::code);
            let discovery = cause.downcast_ref().map(DiscoveryError::exit);
            let output = cause.downcast_ref().map(OutputError::exit);
            let usage = cause.is::<BindError>()
                || cause.is::<InvalidAddress>()
                || cause.is::<InvalidName>()
                || cause.is::<KeyError>();
            failure
                .or(discovery)
                .or(output)
                .or(usage.then_some(Exit::Usage))
        })
        .unwrap_or(Exit::Internal)
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn the_error_decides_the_code() {
        let check = |error: anyhow::Error, expected: Exit| {
            assert_eq!(code_of(&error), expected, "{error:#}");
        };
        let failure = || anyhow::Error::new(Failure::new(Exit::NotFound, "no such movie"));
        check(failure(), Exit::NotFound);
        check(failure().context("while looking it up"), Exit::NotFound);
        check(
            Failure::new(Exit::OutOfTime, "too late")
                .because(Failure::new(Exit::NotFound, "inner"))
                .into(),
            Exit::OutOfTime,
        );
        check(anyhow::anyhow!("anything"), Exit::Internal);
        check(OutputError::Closed.into(), Exit::Done);
        let address: Result<crate::Address, _> = "nowhere".parse();
        check(address.context("--listen").unwrap_err(), Exit::Usage);
    }

    #[test]
    fn the_message_holds_the_whole_chain() {
        let error = Failure::new(Exit::Internal, "outer").because("inner");
        assert_eq!(format!("{:#}", anyhow::Error::new(error)), "outer: inner");
    }
}
