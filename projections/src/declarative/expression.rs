//! A compiled expression.

use bson::Bson;

use super::function::Function;

/// An expression with all names resolved.
#[derive(Debug, Clone)]
pub(super) enum Expression {
    /// A value; none is missing.
    Constant(Option<Bson>),
    /// A path of what a variable holds.
    Path(Base, Vec<String>),
    /// An object, member by member; a missing value leaves its member out.
    Document(Vec<(String, Expression)>),
    /// An array; a missing value is null.
    Array(Vec<Expression>),
    /// An operator that needs the values of all its arguments. The last is a bit for each that was written.
    Call(&'static Function, Vec<Expression>, u32),
    /// All are true.
    And(Vec<Expression>),
    /// One is true.
    Or(Vec<Expression>),
    /// The first that isn't null or missing.
    IfNull(Vec<Expression>),
    /// The first branch whose condition is true.
    Switch(Vec<(Expression, Expression)>, Option<Box<Expression>>),
    /// Variables and the expression that may use them.
    Let(Vec<Expression>, Box<Expression>),
    /// `input`, `in`.
    Map(Box<[Expression; 2]>),
    /// `input`, `cond`, `limit`.
    Filter(Box<[Expression; 2]>, Option<Box<Expression>>),
    /// `input`, `initialValue`, `in`.
    Reduce(Box<[Expression; 3]>),
    /// `input`, `to`.
    Convert {
        /// What to convert, and to what.
        input: Box<[Expression; 2]>,
        /// Instead of an error.
        on_error: Option<Box<Expression>>,
        /// Instead of null.
        on_null: Option<Box<Expression>>,
    },
}

/// Where a path begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    /// The document.
    Root,
    /// The event.
    Event,
    /// The stream.
    Stream,
    /// A variable: frames outwards, place in the frame.
    Local(usize, usize),
}

impl Expression {
    /// Calls this with each expression that it is made of.
    pub(super) fn parts(&self, look: &mut impl FnMut(&Self)) {
        match self {
            Self::Constant(_) | Self::Path(..) => {}
            Self::Document(members) => members.iter().for_each(|(_, part)| look(part)),
            Self::Array(parts) | Self::Call(_, parts, _) => parts.iter().for_each(look),
            Self::And(parts) | Self::Or(parts) | Self::IfNull(parts) => parts.iter().for_each(look),
            Self::Switch(branches, default) => {
                for (condition, then) in branches {
                    look(condition);
                    look(then);
                }
                default.iter().for_each(|part| look(part));
            }
            Self::Let(values, body) => {
                values.iter().for_each(&mut *look);
                look(body);
            }
            Self::Map(parts) => parts.iter().for_each(look),
            Self::Filter(parts, limit) => {
                parts.iter().for_each(&mut *look);
                limit.iter().for_each(|part| look(part));
            }
            Self::Reduce(parts) => parts.iter().for_each(look),
            Self::Convert { input, on_error, on_null } => {
                input.iter().for_each(&mut *look);
                on_error.iter().chain(on_null).for_each(|part| look(part));
            }
        }
    }

    /// Whether it has the same value for every document and event.
    pub(super) fn is_constant(&self) -> bool {
        let all = |parts: &[Self]| parts.iter().all(Self::is_constant);
        match self {
            Self::Constant(_) => true,
            Self::Path(..) => false,
            Self::Document(members) => members.iter().all(|(_, value)| value.is_constant()),
            Self::Array(parts) | Self::Call(_, parts, _) => all(parts),
            Self::And(parts) | Self::Or(parts) | Self::IfNull(parts) => all(parts),
            // These are rarely constant, and cost little.
            _ => false,
        }
    }
}
