//! Label selectors as text: words, and what they make together.
//!
//! Source: k8s.io/apimachinery `pkg/labels/selector.go`, whose grammar this is and whose sentences it says.

use super::{Operator, REQUIREMENTS_MAX, Requirement};
use crate::{
    go::parse_int,
    validate::{label_value_problems, qualified_name_problems},
};

/// The longer ones first.
const SIGNS: [&str; 9] = ["==", "!=", "=", "!", "(", ")", ",", ">", "<"];
const OPERATORS: &str = "in, notin, =, ==, !=, gt, lt";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    /// A key, a value, or one of the words `in` and `notin`.
    Word(&'a str),
    /// A sign.
    Sign(&'static str),
    End,
}

impl<'a> Token<'a> {
    fn text(self) -> String {
        match self {
            Self::Word(text) | Self::Sign(text) => text.to_owned(),
            Self::End => String::new(),
        }
    }

    fn ends(self) -> bool {
        matches!(self, Self::End | Self::Sign(","))
    }

    fn found<T>(self, expected: &str) -> Result<T, String> {
        Err(format!("found '{}', expected: {expected}", self.text()))
    }

    /// The next token, and what follows it.
    fn next(text: &'a str) -> (Self, &'a str) {
        let text = text.trim_start_matches([' ', '\t', '\r', '\n']);
        if text.is_empty() {
            return (Self::End, "");
        }
        for sign in SIGNS {
            if let Some(rest) = text.strip_prefix(sign) {
                return (Self::Sign(sign), rest);
            }
        }
        let ends = |c: char| "=!(),>< \t\r\n".contains(c);
        let (word, rest) = text.split_at(text.find(ends).unwrap_or(text.len()));
        (Self::Word(word), rest)
    }
}

/// The requirements of a text, or why it is none.
pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, String> {
    let mut parser = Parser { rest: text };
    let mut requirements = Vec::new();
    loop {
        match parser.peek() {
            Token::End => return Ok(requirements),
            Token::Word(_) | Token::Sign("!") => {}
            other => return other.found("!, identifier, or 'end of string'"),
        }
        if requirements.len() == REQUIREMENTS_MAX {
            return Err(format!("more than {REQUIREMENTS_MAX} requirements"));
        }
        let requirement = parser
            .requirement()
            .map_err(|why| format!("unable to parse requirement: {why}"))?;
        requirements.push(requirement);
        match parser.take() {
            Token::End => return Ok(requirements),
            Token::Sign(",") => match parser.peek() {
                Token::Word(_) | Token::Sign("!") => {}
                other => return other.found("identifier after ','"),
            },
            other => return other.found("',' or 'end of string'"),
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Token<'a> {
        Token::next(self.rest).0
    }

    fn take(&mut self) -> Token<'a> {
        let (token, rest) = Token::next(self.rest);
        self.rest = rest;
        token
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let mut token = self.take();
        let negated = token == Token::Sign("!");
        if negated {
            token = self.take();
        }
        let Token::Word(key) = token else {
            return token.found("identifier");
        };
        let problems = qualified_name_problems(key);
        if !problems.is_empty() {
            return Err(invalid("<nil>", key, &problems.join("; ")));
        }
        if negated || self.peek().ends() {
            let operator = if negated {
                Operator::DoesNotExist
            } else {
                Operator::Exists
            };
            return checked(key, operator, Vec::new());
        }
        match self.take() {
            Token::Word("in") => checked(key, Operator::In, self.values()?),
            Token::Word("notin") => checked(key, Operator::NotIn, self.values()?),
            Token::Sign("=" | "==") => checked(key, Operator::In, self.value()?),
            Token::Sign("!=") => checked(key, Operator::NotIn, self.value()?),
            Token::Sign(">") => checked(key, Operator::GreaterThan, self.value()?),
            Token::Sign("<") => checked(key, Operator::LessThan, self.value()?),
            other => other.found(OPERATORS),
        }
    }

    /// The one value behind a sign; nothing is the empty one.
    fn value(&mut self) -> Result<Vec<String>, String> {
        if self.peek().ends() {
            return Ok(vec![String::new()]);
        }
        match self.take() {
            Token::Word(value) => Ok(vec![value.to_owned()]),
            other => other.found("identifier"),
        }
    }

    /// `(x,y)`; where there is nothing between commas is the empty value.
    fn values(&mut self) -> Result<Vec<String>, String> {
        match self.take() {
            Token::Sign("(") => {}
            other => return Err(format!("found '{}' expected: '('", other.text())),
        }
        let mut values = Vec::new();
        loop {
            match self.take() {
                Token::Word(value) => {
                    values.push(value.to_owned());
                    match self.take() {
                        Token::Sign(")") => return Ok(values),
                        Token::Sign(",") if self.peek() == Token::Sign(")") => {
                            values.push(String::new());
                        }
                        Token::Sign(",") => {}
                        other => return other.found("',' or ')'"),
                    }
                }
                Token::Sign(",") => values.push(String::new()),
                Token::Sign(")") => {
                    if values.is_empty() {
                        values.push(String::new());
                    }
                    return Ok(values);
                }
                other if values.is_empty() => return other.found("',', ')' or identifier"),
                other => return other.found("',', or identifier"),
            }
        }
    }
}

fn invalid(path: &str, value: &str, why: &str) -> String {
    format!("{path}: Invalid value: {value:?}: {why}")
}

/// A requirement whose values are values, and numbers where they are compared.
fn checked(key: &str, operator: Operator, values: Vec<String>) -> Result<Requirement, String> {
    let mut faults = Vec::new();
    let compares = matches!(operator, Operator::GreaterThan | Operator::LessThan);
    for (index, value) in values.iter().enumerate() {
        let path = format!("values[{index}]");
        if compares && parse_int(value).is_err() {
            let why = "for 'Gt', 'Lt' operators, the value must be an integer";
            faults.push(invalid(&path, value, why));
        }
        let problems = label_value_problems(value);
        if !problems.is_empty() {
            let path = format!("{path}[{key}]");
            faults.push(invalid(&path, value, &problems.join("; ")));
        }
    }
    match faults.as_slice() {
        [] => Ok(Requirement {
            key: key.to_owned(),
            operator,
            values,
        }),
        [one] => Err(one.clone()),
        many => Err(format!("[{}]", many.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_upstream_says() {
        for (text, said) in [
            (
                "a b",
                "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
            ),
            ("a=b c", "found 'c', expected: ',' or 'end of string'"),
            ("a,", "found '', expected: identifier after ','"),
            ("a,=", "found '=', expected: identifier after ','"),
            (
                "=",
                "found '=', expected: !, identifier, or 'end of string'",
            ),
            (
                "!",
                "unable to parse requirement: found '', expected: identifier",
            ),
            ("!a=b", "found '=', expected: ',' or 'end of string'"),
            (
                "a in x",
                "unable to parse requirement: found 'x' expected: '('",
            ),
            (
                "a in (",
                "unable to parse requirement: found '', expected: ',', ')' or identifier",
            ),
            (
                "a in (b",
                "unable to parse requirement: found '', expected: ',' or ')'",
            ),
            (
                "a with (b)",
                "unable to parse requirement: found 'with', expected: in, notin, =, ==, !=, gt, lt",
            ),
            (
                "a>b",
                "unable to parse requirement: values[0]: Invalid value: \"b\": for 'Gt', 'Lt' operators, the value must be an integer",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err(), said, "{text}");
        }
        let key = parse("-a").unwrap_err();
        assert!(
            key.starts_with("unable to parse requirement: <nil>: Invalid value: \"-a\": name part must consist of"),
            "{key}"
        );
        let value = parse("a=-b").unwrap_err();
        assert!(
            value.starts_with("unable to parse requirement: values[0][a]: Invalid value: \"-b\": a valid label must be"),
            "{value}"
        );
        assert!(parse(&"a,".repeat(300)).is_err());
    }
}
