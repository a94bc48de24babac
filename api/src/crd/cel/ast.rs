//! The tree of an expression. Macros are already loops here, and chains of `&&` and `||` are flat.

/// A part of an expression, and where in the text it starts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expr {
    pub(super) at: usize,
    pub(super) kind: Kind,
    /// Levels of the tree from here on.
    pub(super) depth: usize,
}

impl Expr {
    pub(super) fn new(at: usize, kind: Kind) -> Self {
        let depth = 1 + kind.depth();
        Self { at, kind, depth }
    }
}

impl Kind {
    /// Levels below.
    fn depth(&self) -> usize {
        let depths = self.parts().into_iter().map(|part| part.depth);
        depths.max().unwrap_or(0)
    }

    /// What it is put together of.
    pub(super) fn parts(&self) -> Vec<&Expr> {
        match self {
            Self::Literal(_) | Self::Ident(_) => Vec::new(),
            Self::Select { of, .. } | Self::Has { of, .. } | Self::Not(of) | Self::Negate(of) => {
                vec![of]
            }
            Self::Index { of, index, .. } => vec![of, index],
            Self::Binary(_, left, right) => vec![left, right],
            Self::And(parts) | Self::Or(parts) => parts.iter().collect(),
            Self::Choice(parts) => parts.iter().collect(),
            Self::Call { args, .. } => args.iter().collect(),
            Self::List(parts) => parts.iter().map(|(_, part)| part).collect(),
            Self::Map(parts) => {
                let parts = parts.iter().flat_map(|(_, key, value)| [key, value]);
                parts.collect()
            }
            Self::Loop(inner) => {
                let always = [&inner.range, &inner.body].into_iter();
                always.chain(&inner.filter).collect()
            }
            Self::OptionalMap { of, body, .. } => vec![of, body],
            Self::Bind { value, body, .. } => vec![value, body],
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Literal(Literal),
    Ident(String),
    /// `of.field`, or `of.?field`.
    Select {
        of: Box<Expr>,
        field: String,
        optional: bool,
    },
    /// `has(of.field)`.
    Has {
        of: Box<Expr>,
        field: String,
    },
    /// `of[index]`, or `of[?index]`.
    Index {
        of: Box<Expr>,
        index: Box<Expr>,
        optional: bool,
    },
    Not(Box<Expr>),
    Negate(Box<Expr>),
    Binary(Binary, Box<Expr>, Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    /// Condition, then, else.
    Choice(Box<[Expr; 3]>),
    /// A function; of a method the first argument is its target.
    Call {
        name: String,
        method: bool,
        args: Vec<Expr>,
    },
    /// Elements; those with `?` may be absent.
    List(Vec<(bool, Expr)>),
    Map(Vec<(bool, Expr, Expr)>),
    Loop(Box<Loop>),
    /// `optMap` and `optFlatMap`.
    OptionalMap {
        of: Box<Expr>,
        name: String,
        body: Box<Expr>,
        flat: bool,
    },
    /// A name for a value. Only macros make it.
    Bind {
        name: String,
        value: Box<Expr>,
        body: Box<Expr>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
}

impl Binary {
    /// As errors name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Add => "_+_",
            Self::Subtract => "_-_",
            Self::Multiply => "_*_",
            Self::Divide => "_/_",
            Self::Modulo => "_%_",
            Self::Equal => "_==_",
            Self::NotEqual => "_!=_",
            Self::Less => "_<_",
            Self::LessEqual => "_<=_",
            Self::Greater => "_>_",
            Self::GreaterEqual => "_>=_",
            Self::In => "@in",
        }
    }
}

/// What a loop makes of its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LoopKind {
    All,
    Exists,
    ExistsOne,
    /// A list of what the body gives.
    Map,
    /// The elements that the body holds for.
    Filter,
    /// A map of what the body gives, under the same keys.
    TransformMap,
    /// A map of the entries of the maps that the body gives.
    TransformMapEntry,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Loop {
    pub(super) kind: LoopKind,
    pub(super) range: Expr,
    /// The element; the index or key where there is a second name.
    pub(super) first: String,
    pub(super) second: Option<String>,
    /// Elements that it does not hold for are left out.
    pub(super) filter: Option<Expr>,
    pub(super) body: Expr,
}
