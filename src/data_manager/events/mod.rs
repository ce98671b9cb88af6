//! What happens, told to whoever subscribed.
//!
//! | file | what it is |
//! | --- | --- |
//! | `event.rs` | what can happen |
//! | `subscription.rs` | one subscriber and its queue |
//! | `hub.rs` | all of them |
//! | `record.rs` | an event as a line for a person, and its level |
//! | `journal.rs` | the same lines, for a logger |

mod event;
mod hub;
mod journal;
mod record;
mod subscription;

pub use event::Event;
pub(super) use hub::EventHub;
pub use subscription::{Events, RecvError};
