//! From text to tree.
//!
//! An expression is always bounded in length and depth, so that walking its tree cannot overflow the
//! stack.

use super::{
    EXPRESSION_BYTES_MAX, EXPRESSION_DEPTH_MAX, SyntaxError,
    ast::{Binary, Expr, Kind, Literal},
    lexer::{Word, words},
    macros,
};

const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];
/// Names before the dot of functions such as `sets.contains`.
const NAMESPACES: [&str; 6] = ["optional", "sets", "ip", "format", "strings", "lists"];

type Result<T> = std::result::Result<T, SyntaxError>;

/// Parses an expression.
pub(super) fn parse(text: &str) -> Result<Expr> {
    if text.len() > EXPRESSION_BYTES_MAX {
        let message = format!("expression is longer than {EXPRESSION_BYTES_MAX} bytes");
        return Err(SyntaxError { at: 0, message });
    }
    let mut parser = Parser {
        words: words(text)?,
        next: 0,
        depth: 0,
    };
    let expr = parser.expr()?;
    match parser.peek() {
        Word::End => Ok(expr),
        _ => Err(parser.unexpected("<EOF>")),
    }
}

struct Parser {
    words: Vec<(usize, Word)>,
    next: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> &Word {
        self.words
            .get(self.next)
            .map_or(&Word::End, |(_, word)| word)
    }

    fn at(&self) -> usize {
        let word = self.words.get(self.next).or(self.words.last());
        word.map_or(0, |(at, _)| *at)
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Word::Sign(found) if *found == sign);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<()> {
        if self.take(sign) {
            Ok(())
        } else {
            Err(self.unexpected(sign))
        }
    }

    fn unexpected(&self, wanted: &str) -> SyntaxError {
        let found = match self.peek() {
            Word::Ident(name) => name.clone(),
            Word::Literal(Literal::Text(text)) => format!("{text:?}"),
            Word::Literal(literal) => format!("{literal:?}"),
            Word::Sign(sign) => (*sign).to_owned(),
            Word::End => "<EOF>".to_owned(),
        };
        let message = format!("Syntax error: mismatched input '{found}' expecting '{wanted}'");
        SyntaxError {
            at: self.at(),
            message,
        }
    }

    fn deeper(&mut self, then: impl FnOnce(&mut Self) -> Result<Expr>) -> Result<Expr> {
        self.depth += 1;
        if self.depth > EXPRESSION_DEPTH_MAX {
            return Err(self.too_deep());
        }
        let expr = then(self)?;
        self.depth -= 1;
        self.shallow(expr)
    }

    /// The tree may be deeper than the brackets: chains lean to the left.
    fn shallow(&self, expr: Expr) -> Result<Expr> {
        if expr.depth > EXPRESSION_DEPTH_MAX {
            return Err(self.too_deep());
        }
        Ok(expr)
    }

    fn too_deep(&self) -> SyntaxError {
        let message = format!("expression recursion limit exceeded: {EXPRESSION_DEPTH_MAX}");
        SyntaxError {
            at: self.at(),
            message,
        }
    }

    fn expr(&mut self) -> Result<Expr> {
        self.deeper(|this| {
            let condition = this.chain("||")?;
            let at = this.at();
            if !this.take("?") {
                return Ok(condition);
            }
            let then = this.chain("||")?;
            this.expect(":")?;
            let parts = Box::new([condition, then, this.expr()?]);
            Ok(Expr::new(at, Kind::Choice(parts)))
        })
    }

    /// `a || b || c`, whose parts are such chains of `&&`.
    fn chain(&mut self, sign: &'static str) -> Result<Expr> {
        let part = |this: &mut Self| {
            if sign == "||" {
                this.chain("&&")
            } else {
                this.binary(0)
            }
        };
        let first = part(self)?;
        let at = self.at();
        let mut parts = vec![first];
        while self.take(sign) {
            parts.push(part(self)?);
        }
        if parts.len() == 1 {
            return parts.pop().ok_or_else(|| self.unexpected(sign));
        }
        let kind = if sign == "||" {
            Kind::Or(parts)
        } else {
            Kind::And(parts)
        };
        Ok(Expr::new(at, kind))
    }

    /// Operators by how strongly they bind: relations, sums, products.
    fn binary(&mut self, level: usize) -> Result<Expr> {
        const LEVELS: [&[(&str, Binary)]; 3] = [
            &[
                ("==", Binary::Equal),
                ("!=", Binary::NotEqual),
                ("<=", Binary::LessEqual),
                (">=", Binary::GreaterEqual),
                ("<", Binary::Less),
                (">", Binary::Greater),
                ("in", Binary::In),
            ],
            &[("+", Binary::Add), ("-", Binary::Subtract)],
            &[
                ("*", Binary::Multiply),
                ("/", Binary::Divide),
                ("%", Binary::Modulo),
            ],
        ];
        let Some(signs) = LEVELS.get(level) else {
            return self.unary();
        };
        let mut left = self.binary(level + 1)?;
        loop {
            let at = self.at();
            let Some((_, operator)) = signs.iter().find(|(sign, _)| self.take(sign)) else {
                return Ok(left);
            };
            let right = self.binary(level + 1)?;
            let kind = Kind::Binary(*operator, Box::new(left), Box::new(right));
            left = self.shallow(Expr::new(at, kind))?;
        }
    }

    fn unary(&mut self) -> Result<Expr> {
        let at = self.at();
        if self.take("!") {
            let inner = self.deeper(Self::unary)?;
            return Ok(Expr::new(at, Kind::Not(Box::new(inner))));
        }
        if self.take("-") {
            let inner = self.deeper(Self::unary)?;
            let kind = match inner.kind {
                Kind::Literal(Literal::Int(value)) => {
                    Kind::Literal(Literal::Int(value.wrapping_neg()))
                }
                Kind::Literal(Literal::Double(value)) => Kind::Literal(Literal::Double(-value)),
                _ => Kind::Negate(Box::new(inner)),
            };
            return Ok(Expr::new(at, kind));
        }
        if matches!(self.peek(), Word::Literal(Literal::Int(i64::MIN))) && !self.after_minus() {
            let message = "invalid int literal".to_owned();
            return Err(SyntaxError { at, message });
        }
        self.member()
    }

    fn after_minus(&self) -> bool {
        let before = self.next.checked_sub(1).and_then(|at| self.words.get(at));
        matches!(before, Some((_, Word::Sign("-"))))
    }

    fn member(&mut self) -> Result<Expr> {
        let mut of = self.primary()?;
        loop {
            let at = self.at();
            if self.take(".") {
                let optional = self.take("?");
                let field = self.ident()?;
                of = if !optional && self.take("(") {
                    let args = self.list(")")?;
                    method(of, field, args, at)?
                } else {
                    let of = Box::new(of);
                    let kind = Kind::Select {
                        of,
                        field,
                        optional,
                    };
                    Expr::new(at, kind)
                };
            } else if self.take("[") {
                let optional = self.take("?");
                let index = Box::new(self.expr()?);
                self.expect("]")?;
                let of_box = Box::new(of);
                let kind = Kind::Index {
                    of: of_box,
                    index,
                    optional,
                };
                of = Expr::new(at, kind);
            } else {
                return Ok(of);
            }
            of = self.shallow(of)?;
        }
    }

    fn ident(&mut self) -> Result<String> {
        match self.peek() {
            Word::Ident(name) => {
                let name = name.clone();
                self.next += 1;
                Ok(name)
            }
            _ => Err(self.unexpected("IDENTIFIER")),
        }
    }

    fn primary(&mut self) -> Result<Expr> {
        let at = self.at();
        let kind = match self.peek().clone() {
            Word::Literal(literal) => {
                self.next += 1;
                Kind::Literal(literal)
            }
            Word::Ident(name) => {
                self.next += 1;
                return self.named(name, at);
            }
            Word::Sign("(") => {
                self.next += 1;
                let inner = self.expr()?;
                self.expect(")")?;
                return Ok(inner);
            }
            Word::Sign("[") => {
                self.next += 1;
                Kind::List(self.elements()?)
            }
            Word::Sign("{") => {
                self.next += 1;
                Kind::Map(self.entries()?)
            }
            Word::Sign(".") => {
                self.next += 1;
                let name = self.ident()?;
                return self.named(name, at);
            }
            _ => return Err(self.unexpected("an expression")),
        };
        Ok(Expr::new(at, kind))
    }

    fn named(&mut self, name: String, at: usize) -> Result<Expr> {
        if RESERVED.contains(&name.as_str()) {
            let message = format!("reserved identifier: {name}");
            return Err(SyntaxError { at, message });
        }
        if !self.take("(") {
            return Ok(Expr::new(at, Kind::Ident(name)));
        }
        let args = self.list(")")?;
        macros::global(&name, args, at)
    }

    fn list(&mut self, end: &str) -> Result<Vec<Expr>> {
        let mut list = Vec::new();
        while !self.take(end) {
            list.push(self.expr()?);
            if !self.take(",") {
                self.expect(end)?;
                break;
            }
        }
        Ok(list)
    }

    fn elements(&mut self) -> Result<Vec<(bool, Expr)>> {
        let mut elements = Vec::new();
        while !self.take("]") {
            let optional = self.take("?");
            elements.push((optional, self.expr()?));
            if !self.take(",") {
                self.expect("]")?;
                break;
            }
        }
        Ok(elements)
    }

    fn entries(&mut self) -> Result<Vec<(bool, Expr, Expr)>> {
        let mut entries = Vec::new();
        while !self.take("}") {
            let optional = self.take("?");
            let key = self.expr()?;
            self.expect(":")?;
            entries.push((optional, key, self.expr()?));
            if !self.take(",") {
                self.expect("}")?;
                break;
            }
        }
        Ok(entries)
    }
}

/// `of.name(args)`: a macro, a function in a namespace, or a method.
fn method(of: Expr, name: String, mut args: Vec<Expr>, at: usize) -> Result<Expr> {
    if let Kind::Ident(space) = &of.kind
        && NAMESPACES.contains(&space.as_str())
    {
        let name = format!("{space}.{name}");
        return macros::global(&name, args, at);
    }
    let of = match macros::method(of, &name, &mut args, at)? {
        macros::Expanded::Loop(expr) => return Ok(expr),
        macros::Expanded::Not(of) => of,
    };
    args.insert(0, of);
    let method = true;
    Ok(Expr::new(at, Kind::Call { name, method, args }))
}
