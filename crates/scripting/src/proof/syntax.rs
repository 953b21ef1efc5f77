//! A script's text as a tree, as far as a proof asks.
//!
//! Names are resolved: what is local has a number, and all that is written to it is found by that. The order of statements is not kept
//! where a proof does not ask for it, so an `if` is its conditions and its blocks.

use std::borrow::Cow;

/// Number of a local variable: each declaration has its own.
pub(super) type Local = usize;

/// An expression, and the line on which it begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expression<'t> {
    pub(super) line: u32,
    pub(super) kind: Kind<'t>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind<'t> {
    Nil,
    True,
    False,
    /// A number, or what an operator gives that is neither a table nor a function.
    Number,
    Text(Cow<'t, [u8]>),
    /// `...`
    Rest,
    Local(Local),
    Global(&'t str),
    Function(Box<Function<'t>>),
    Table(Vec<Field<'t>>),
    Index(Box<Expression<'t>>, Box<Expression<'t>>),
    Call(Box<Expression<'t>>, Vec<Expression<'t>>),
    /// `object:name(arguments)`
    Method(Box<Expression<'t>>, Vec<Expression<'t>>),
    And(Box<Expression<'t>>, Box<Expression<'t>>),
    Or(Box<Expression<'t>>, Box<Expression<'t>>),
    /// An operator of one or two operands whose result is a number, a boolean or a new string.
    Operator(Vec<Expression<'t>>),
    /// In parentheses: one value of however many.
    One(Box<Expression<'t>>),
}

/// What stands in a table's constructor: a key, if one is written, and a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field<'t> {
    pub(super) key: Option<Expression<'t>>,
    pub(super) value: Expression<'t>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Function<'t> {
    /// Each function of a text has its own.
    pub(super) number: usize,
    pub(super) line: u32,
    pub(super) parameters: Vec<Local>,
    pub(super) body: Vec<Statement<'t>>,
}

/// A statement; a number without a name is its line.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Statement<'t> {
    /// `local a, b = x, y`; also `local function`.
    Declare(u32, Vec<Local>, Vec<Expression<'t>>),
    /// `a, b.c = x, y`; also `function a.b() end`.
    Assign(Vec<Expression<'t>>, Vec<Expression<'t>>),
    /// A call whose results are dropped.
    Call(Expression<'t>),
    Return(u32, Vec<Expression<'t>>),
    /// Conditions and limits, which are evaluated, and the blocks below them.
    Blocks(Vec<Expression<'t>>, Vec<Vec<Statement<'t>>>),
    /// `for name = from, to, step`
    Count(u32, Local, Vec<Expression<'t>>, Vec<Statement<'t>>),
    /// `for names in expressions`
    Each(u32, Vec<Local>, Vec<Expression<'t>>, Vec<Statement<'t>>),
}
