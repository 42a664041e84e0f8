//! Projections as data: MongoDB's update documents and update pipelines, compiled once and applied to
//! documents without a server.
//!
//! A [`Plan`] is compiled from what the definition says, then applied to the state of a stream with each
//! event bound as `$$event` and its stream as `$$stream`. The result is, byte for byte, the one of MongoDB
//! 6.0, or an error: where the server fails, and where its result can't be had here. Nothing depends on a
//! clock, on chance or on a server. [`Definitions`] are whole projections made of them, from files.
//!
//! Refused by name are: what depends on clock, chance or server; JavaScript; regular expressions;
//! logarithms and powers, whose last digits depend on the machine; decimals that would be rounded, and
//! decimals with doubles; dates of text in another form than `2024-02-29T12:30:00.000Z`; time zones but
//! UTC; a constant that always fails; a field that one stage of a pipeline removes or leaves out and a
//! later one sets again, because the server keeps its place.
//!
//! The server leaves the order of unions and intersections of sets open; here it is ascending. The
//! deprecated type undefined counts as missing. An operand that is a variable is checked when it is
//! applied.
//!
//! ```
//! use bson::doc;
//! use statefold_projections::declarative::{Bound, Plan};
//!
//! let shipped = Plan::update(&doc! {
//!     "$set": { "status": "shipped", "by": "$$event.payload.carrier" },
//!     "$push": { "history": { "$each": [{ "at": "$$event.number" }], "$slice": -10 } },
//! }, &[])?;
//! let bound = Bound::new(doc! { "payload": { "carrier": "post" }, "number": 7_i64 }, doc! { "key": "42" });
//! let mut order = doc! { "_id": "42", "status": "paid" };
//! shipped.apply(&mut order, &bound, false)?;
//! let expected = doc! { "_id": "42", "status": "shipped", "by": "post", "history": [{ "at": 7_i64 }] };
//! assert_eq!(order, expected);
//!
//! let error = Plan::update(&doc! { "$inc": { "n": 1 }, "$addtoset": { "a": 1 } }, &[]).unwrap_err();
//! assert_eq!(error.meant.as_deref(), Some("$addToSet"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod compile;
mod copied;
mod decimal;
mod definition;
mod encoded;
mod error;
mod evaluate;
mod expression;
mod fields;
mod forms;
mod function;
mod functions;
mod guard;
mod members;
mod nearest;
mod number;
mod order;
mod path;
mod plan;
mod scope;
mod shape;
mod sorting;
mod stage;
#[cfg(test)]
mod tests;
mod touched;
mod update;
mod value;

pub use definition::{Declared, DeclaredState, Definitions, Example, Format, Outcome, Problem, SCHEMA};
pub use error::{ApplyError, CompileError};
pub use plan::Plan;
pub use scope::Bound;
