//! What is wrong with literals although all types fit: lists and maps of several types, patterns, durations and times
//! that cannot be read, clauses of a text that do not fit what is put in.
//!
//! Source: cel-go `cel/validator.go` and `ext/formatting.go`.

use super::Checker;
use crate::crd::{
    cel::{
        ast::{Expr, Kind, Literal},
        types::Type,
    },
    duration,
};

/// A part of the expression and its type.
type Typed<'e, 'a> = (&'e Expr, Type<'a>);

impl<'a> Checker<'a, '_> {
    fn late(&mut self, at: usize, message: String) {
        self.late.push(at, message);
    }

    /// Elements have the type of the first; so many that have not are told of.
    pub(super) fn alike(&mut self, parts: &[Typed<'_, 'a>], most: usize) {
        let Some((first, rest)) = parts.split_first() else {
            return;
        };
        if self.mixing > 0 {
            return;
        }
        let mut wanted = first;
        let mut is_wanted_free = None;
        let mut told = 0;
        for part in rest {
            if part.1 == wanted.1 {
                continue;
            }
            let is_first_free = *is_wanted_free.get_or_insert_with(|| has_free(wanted.0));
            let is_free = (is_first_free, has_free(part.0));
            if same(&wanted.1, &part.1, is_free) {
                // The more that is known of it, the better.
                if is_first_free {
                    (wanted, is_wanted_free) = (part, Some(is_free.1));
                }
                continue;
            }
            let message = format!("expected type '{}' but found '{}'", wanted.1, part.1);
            self.late(part.0.at, message);
            told += 1;
            if told >= most {
                return;
            }
        }
    }

    /// Patterns, durations and times that stand in the text are checked before the rule runs.
    pub(super) fn literal_argument(&mut self, name: &str, args: &[Expr], at: usize) {
        let literal = |index: usize| match args.get(index).map(|arg| (&arg.kind, arg.at)) {
            Some((Kind::Literal(Literal::Text(text)), at)) => Some((text, at)),
            _ => None,
        };
        match name {
            "matches" | "find" | "findAll" => {
                let Some((text, at)) = literal(1) else { return };
                if self.patterns.contains_key(text) {
                    return;
                }
                match self.all.compile_small(text) {
                    Ok(compiled) => {
                        self.patterns.insert(text.clone(), compiled);
                    }
                    Err(why) => {
                        self.late(at, format!("invalid {name} argument: {why}"));
                    }
                }
            }
            "duration" => {
                let wrong = |text: &str| duration::parse(text).is_none();
                if let Some((_, at)) = literal(0).filter(|(text, _)| wrong(text)) {
                    self.late(at, "invalid duration argument".to_owned());
                }
            }
            "timestamp" => {
                let wrong = |text: &str| text.parse::<jiff::Timestamp>().is_err();
                if let Some((_, at)) = literal(0).filter(|(text, _)| wrong(text)) {
                    self.late(at, "invalid timestamp argument".to_owned());
                }
            }
            "format" => {
                if let (Some((text, _)), Some(Kind::List(parts))) =
                    (literal(0), args.get(1).map(|arg| &arg.kind))
                {
                    let parts: Vec<&Expr> = parts.iter().map(|(_, part)| part).collect();
                    if let Err((place, message)) = self.clauses(text, &parts) {
                        self.late(place.unwrap_or(at), message);
                    }
                }
            }
            _ => {}
        }
    }

    /// Whether each clause of a text fits what is put in.
    fn clauses(&self, text: &str, parts: &[&Expr]) -> Result<(), (Option<usize>, String)> {
        let plain = |why: String| (None, why);
        let mut count = 0;
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            if c != '%' {
                continue;
            }
            let next = rest.clone().next();
            if next == Some('%') {
                rest.next();
                continue;
            }
            if next.is_none() {
                return Err(plain("unexpected end of string".to_owned()));
            }
            let Some(part) = parts.get(count) else {
                return Err(plain(format!("index {count} out of range")));
            };
            let clause = clause(&mut rest)
                .map_err(|why| plain(format!("could not parse formatting clause: {why}")))?;
            self.fits_clause(clause, part)
                .map_err(|(at, why)| (Some(at), format!("error during formatting: {why}")))?;
            count += 1;
        }
        if parts.len() > count {
            let found = parts.len();
            return Err(plain(format!(
                "too many arguments supplied to string.format (expected {count}, got {found})"
            )));
        }
        Ok(())
    }

    fn fits_clause(&self, clause: char, part: &Expr) -> Result<(), (usize, String)> {
        use Type::{Bool, Bytes, Double, Dyn, Int, Text, Uint};
        let found = self.type_of(part);
        let (fits, what) = match clause {
            's' => return self.is_shown(part),
            'd' => (
                matches!(found, Int | Uint),
                "decimal clause can only be used on integers",
            ),
            'o' => (
                matches!(found, Int | Uint),
                "octal clause can only be used on integers",
            ),
            'f' => (
                matches!(found, Double | Text),
                "fixed-point clause can only be used on doubles",
            ),
            'e' => (
                matches!(found, Double | Text),
                "scientific clause can only be used on doubles",
            ),
            'b' => (
                matches!(found, Int | Uint | Bool),
                "only integers and bools can be formatted as binary",
            ),
            _ => (
                matches!(found, Int | Uint | Text | Bytes),
                "only integers, byte buffers, and strings can be formatted as hex",
            ),
        };
        if fits || *found == Dyn {
            return Ok(());
        }
        Err((
            part.at,
            format!("{what}, was given {}", found.runtime_name()),
        ))
    }

    /// `%s`, also of what stands in a list or a map.
    fn is_shown(&self, part: &Expr) -> Result<(), (usize, String)> {
        let found = self.type_of(part);
        if matches!(found, Type::Object(_) | Type::Named(_) | Type::Optional(_)) {
            let name = found.runtime_name();
            return Err((
                part.at,
                format!(
                    "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps, was given {name}"
                ),
            ));
        }
        if matches!(part.kind, Kind::List(_) | Kind::Map(_)) {
            return part
                .kind
                .parts()
                .into_iter()
                .try_for_each(|part| self.is_shown(part));
        }
        Ok(())
    }

    fn type_of(&self, part: &Expr) -> &Type<'a> {
        self.types
            .get(&std::ptr::from_ref(part))
            .unwrap_or(&Type::Dyn)
    }
}

/// The letter of a clause, after its precision.
fn clause(rest: &mut std::str::Chars<'_>) -> Result<char, String> {
    const PRECISION: &str = "error while parsing precision";
    let mut letter = rest.next().unwrap_or_default();
    if letter == '.' {
        let mut digits = String::new();
        letter = loop {
            match rest.next() {
                Some(digit) if digit.is_ascii_digit() => digits.push(digit),
                Some(letter) => break letter,
                None => {
                    return Err(format!(
                        "{PRECISION}: could not find end of precision specifier"
                    ));
                }
            }
        };
        if digits.parse::<i64>().is_err() {
            let why = if digits.is_empty() {
                "invalid syntax"
            } else {
                "value out of range"
            };
            return Err(format!(
                "{PRECISION}: error while converting precision to integer: strconv.Atoi: parsing {digits:?}: {why}"
            ));
        }
    }
    if "sdfebxXo".contains(letter) {
        return Ok(letter);
    }
    Err(format!("unrecognized formatting clause \"{letter}\""))
}

/// Whether there is an empty list in it, or something else whose type is whatever is wanted.
fn has_free(expr: &Expr) -> bool {
    let is_free = match &expr.kind {
        Kind::List(parts) => parts.is_empty(),
        Kind::Map(parts) => parts.is_empty(),
        Kind::Call { name, .. } => name == "optional.none",
        _ => false,
    };
    is_free || expr.kind.parts().into_iter().any(has_free)
}

/// Whether two types are one; where something is free, nothing is known and all is well.
fn same(one: &Type<'_>, two: &Type<'_>, is_free: (bool, bool)) -> bool {
    match (one, two) {
        (Type::Dyn, _) if is_free.0 => true,
        (_, Type::Dyn) if is_free.1 => true,
        (Type::List(one), Type::List(two)) | (Type::Optional(one), Type::Optional(two)) => {
            same(one, two, is_free)
        }
        (Type::Map(key, one), Type::Map(other, two)) => {
            same(key, other, is_free) && same(one, two, is_free)
        }
        (one, two) => one == two,
    }
}
