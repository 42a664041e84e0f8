//! The live page: one page that shows a database at work. Read only.
//!
//! `model` says what is shown, as values and without a clock; `html` writes it; `poller` looks at the
//! database while somebody watches, once for all who do; `server` sends the page, and then whatever part of
//! it has changed, by server-sent events. Script and style are served from here: the page asks nobody else.

mod chart;
mod guard;
mod html;
mod model;
mod poller;
mod samples;
mod server;

pub use server::{Page, router, serve};
