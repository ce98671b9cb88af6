//! What happens, told to whoever subscribed.
//!
//! | file | what it is |
//! | --- | --- |
//! | `event.rs` | what can happen |
//! | `subscription.rs` | one subscriber and its queue |
//! | `hub.rs` | all of them |

mod event;
mod hub;
mod subscription;

pub use event::Event;
pub(super) use hub::EventHub;
pub use subscription::{Events, RecvError};
