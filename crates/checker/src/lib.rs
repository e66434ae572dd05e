//! Checks a recorded history for causal consistency with convergence (CCv).
//!
//! A history is what clients saw: reads and writes of keys, in the order of each
//! session. It is CCv if one total order of all writes exists that extends
//! causality (session order and reads-from, taken transitively), and in which
//! every read returns the last write of its key within its causal past. As
//! each (key, value) is written once, that is decided in polynomial time
//! (Bouajjani, Enea, Guerraoui, Hamza: On Verifying Causal Consistency,
//! POPL 2017):
//!
//! 1. The initial writes precede everything.
//! 2. Session order and reads-from are ordered topologically; a cycle, or a read
//!    of a value that nobody wrote, is a violation. Each operation gets a vector:
//!    how much of each session is in its causal past.
//! 3. For each read of a key from a write `w`, and each session's last write `u`
//!    of the key in the reader's causal past: `u`, if it is not `w`, must be
//!    ordered before `w`.
//! 4. The history is CCv iff all these orders together have no cycle.
//!
//! Time and memory are O(operations x sessions).
//!
//! ```
//! use backfence_checker::{Guarantee, History, check};
//!
//! let history = History::parse("w(5,1,1,1)\nr(5,1,2,2)\nr(5,0,2,3)\n".as_bytes()).unwrap();
//! let violation = check(&history).unwrap_err();
//! assert_eq!(violation.broken, [Guarantee::MonotonicReads]);
//! println!("{violation}");
//! ```

mod causality;
mod explain;
mod graph;
mod history;
mod operation;
mod trace;
mod unreadable;
mod violation;

pub use explain::{Consistent, check};
pub use history::{History, HistoryBuilder, MAX_CELLS, MAX_LINE, Size};
pub use operation::{Key, Kind, Operation, Session, Txn, Value};
pub use unreadable::{Problem, Unreadable};
pub use violation::{Anomaly, Event, Guarantee, Point, Reason, Step, Violation};
