//! TLS on listeners: certificates, sessions, handshakes.
//!
//! An [`Endpoint`] is what a listener speaks TLS with. The main thread makes it from files, with each generation and
//! whenever a file changes; workers share it. Certificates that are obtained while serving ([`Issued`]) and answers to
//! challenges ([`Challenges`]) may be put in at any time, from any thread, and count from the next handshake on.

mod certificates;
mod challenges;
mod endpoint;
mod handshake;
mod subject;

pub use certificates::Issued;
pub use challenges::{Answering, Challenges};
pub use endpoint::Endpoint;
pub use handshake::{Failed, accept};
pub use subject::subject;
