//! What a pipeline file says, before it is known whether that makes sense.

use super::diagnostic::Span;

/// The three kinds of sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectionKind {
    /// Where events come from.
    Input,
    /// What is done to them.
    Filter,
    /// Where they go.
    Output,
}

/// One `input { … }`, `filter { … }` or `output { … }`.
#[derive(Clone, Debug)]
pub struct Section {
    /// Which of the three.
    pub kind: SectionKind,
    /// What is in it.
    pub body: Vec<Branch>,
}

/// A plugin or a condition around some.
#[derive(Clone, Debug)]
pub enum Branch {
    /// A plugin.
    Plugin(Plugin),
    /// `if … else if … else`.
    If(If),
}

/// `if … { } else if … { } else { }`.
#[derive(Clone, Debug)]
pub struct If {
    /// The conditions in order, each with its body.
    pub arms: Vec<Arm>,
    /// The body of `else`.
    pub otherwise: Option<Vec<Branch>>,
}

/// One condition and what it guards.
#[derive(Clone, Debug)]
pub struct Arm {
    /// The condition.
    pub condition: Expression,
    /// Where it stands.
    pub span: Span,
    /// What it guards.
    pub body: Vec<Branch>,
}

/// `name { option => value … }`.
#[derive(Clone, Debug)]
pub struct Plugin {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub span: Span,
    /// Its options in order; a name may come several times.
    pub attributes: Vec<Attribute>,
}

/// `option => value`.
#[derive(Clone, Debug)]
pub struct Attribute {
    /// The option.
    pub name: String,
    /// Where its name stands.
    pub span: Span,
    /// Its value.
    pub value: Value,
}

/// The value of an option, with its place.
#[derive(Clone, Debug)]
pub struct Value {
    /// What it is.
    pub literal: Literal,
    /// Where it stands.
    pub span: Span,
}

/// The kinds of values.
#[derive(Clone, Debug)]
pub enum Literal {
    /// A word without quotes.
    Bareword(String),
    /// Text in quotes, without them.
    Text(String),
    /// A number as it was written.
    Number(String),
    /// `[ a, b ]`.
    Array(Vec<Value>),
    /// `{ a => b }`.
    Hash(Vec<(Value, Value)>),
    /// A plugin as value, such as a codec with options.
    Plugin(Plugin),
}

/// A condition.
#[derive(Clone, Debug)]
pub enum Expression {
    /// Both sides and how they are joined.
    Join(Box<Expression>, Join, Box<Expression>),
    /// `!`.
    Not(Box<Expression>),
    /// `==`, `<` and so on.
    Compare(Operand, Comparison, Operand),
    /// `in` and, when the flag is set, `not in`.
    In(Operand, Operand, bool),
    /// `=~` and, when the flag is set, `!~`.
    Match(Operand, Operand, bool),
    /// An operand alone: whether it is there and not false.
    Truthy(Operand),
}

/// How two conditions are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// Both.
    And,
    /// At least one.
    Or,
    /// Exactly one.
    Xor,
    /// Not both.
    Nand,
}

/// How two operands are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    /// How it is written.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// What it is when both sides change places.
    pub fn mirrored(self) -> Self {
        match self {
            Self::Equal | Self::NotEqual => self,
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
        }
    }
}

/// One side of a comparison, with its place.
#[derive(Clone, Debug)]
pub struct Operand {
    /// What it is.
    pub term: Term,
    /// Where it stands.
    pub span: Span,
}

/// The kinds of operands.
#[derive(Clone, Debug)]
pub enum Term {
    /// `[a][b]`.
    Field(String),
    /// Text in quotes, without them.
    Text(String),
    /// A number as it was written.
    Number(String),
    /// true or false.
    Bool(bool),
    /// `/…/`, without the slashes.
    Regexp(String),
    /// `[ a, b ]`.
    Array(Vec<Operand>),
}
