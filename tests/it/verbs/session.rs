//! One resource being tried: its requests, and all that is wrong with their answers.

use super::{
    exceptions, objects,
    table::{Row, Table},
};
use anyhow::Context as _;
use coracle_tests::client::{Answer, Client, Endpoint};
use http::Method;
use serde_json::{Value, json};

/// What a client calls itself.
pub(super) const MANAGER: &str = "fieldManager=tester";

pub(super) struct Session<'a> {
    pub(super) table: &'a Table,
    /// The resource; its subresources have rows of their own.
    pub(super) row: &'a Row,
    pub(super) endpoint: &'a Endpoint,
    client: Client,
    pub(super) namespace: String,
    /// The object to be created.
    pub(super) object: Value,
    /// Everything that was not as the table says.
    pub(super) problems: Vec<String>,
}

impl<'a> Session<'a> {
    /// Begins with a resource; the namespace is created with it.
    pub(super) async fn begin(
        table: &'a Table,
        row: &'a Row,
        endpoint: &'a Endpoint,
        namespace: &str,
    ) -> anyhow::Result<Self> {
        let mut client = endpoint.connect().await?;
        if row.namespaced {
            let body = json!({"metadata": {"name": namespace}});
            client.create("/api/v1/namespaces", &body).await?;
        }
        Ok(Self {
            table,
            row,
            endpoint,
            client,
            namespace: namespace.to_owned(),
            object: objects::of(&row.kind, namespace)?,
            problems: Vec::new(),
        })
    }

    pub(super) fn name(&self) -> String {
        let name = self.object["metadata"]["name"].as_str();
        name.unwrap_or_default().to_owned()
    }

    pub(super) fn collection(&self) -> String {
        self.row.collection(&self.namespace)
    }

    /// The path of the object.
    pub(super) fn one(&self) -> String {
        format!("{}/{}", self.collection(), self.name())
    }

    /// What a verb is documented to answer.
    pub(super) fn shape(&self, row: &Row, verb: &str) -> String {
        exceptions::shape(row, verb).unwrap_or_else(|| row.verbs[verb].shape.clone())
    }

    pub(super) async fn ask(
        &mut self,
        method: &str,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<Answer> {
        self.ask_with(method, path, &[], &text(body)).await
    }

    pub(super) async fn ask_with(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> anyhow::Result<Answer> {
        let method = Method::from_bytes(method.as_bytes())?;
        let answer = self
            .client
            .exchange(method.clone(), path, headers, body.to_owned())
            .await;
        answer.with_context(|| format!("{method} {path}"))
    }

    pub(super) fn note(&mut self, what: &str, problem: &str) {
        let problem = format!("{} {}: {what}: {problem}", self.row.version, self.row.name);
        self.problems.push(problem);
    }

    pub(super) fn check(&mut self, what: &str, holds: bool, problem: impl FnOnce() -> String) {
        if !holds {
            self.note(what, &problem());
        }
    }

    /// This code, and an object of this shape.
    pub(super) fn expect(&mut self, what: &str, answer: &Answer, code: u16, shape: &str) -> Value {
        let value = answer.json();
        if answer.status != code {
            let said = String::from_utf8_lossy(&answer.body).into_owned();
            self.note(
                what,
                &format!("{} instead of {code}: {said}", answer.status),
            );
        } else if let Some(problem) = self.table.misshapen(&value, shape) {
            self.note(what, &format!("{problem}: {value}"));
        }
        value
    }

    /// As documented for a verb of a row; of its codes, this one.
    pub(super) fn documented(
        &mut self,
        row: &Row,
        verb: &str,
        answer: &Answer,
        code: u16,
    ) -> Value {
        let what = format!("{verb} {}", row.name);
        let known = row.verbs[verb].codes.contains(&code);
        self.check(&what, known, || format!("upstream never answers {code}"));
        let shape = self.shape(row, verb);
        self.expect(&what, answer, code, &shape)
    }

    /// A Status that says no, in this way.
    pub(super) fn refused(
        &mut self,
        what: &str,
        answer: &Answer,
        code: u16,
        reason: &str,
    ) -> Value {
        let value = self.expect(what, answer, code, "v1/Status");
        if answer.status == code {
            let is_whole = value["status"] == "Failure"
                && value["code"] == code
                && value["reason"] == reason
                && value["metadata"].is_object()
                && value["message"]
                    .as_str()
                    .is_some_and(|message| !message.is_empty());
            self.check(what, is_whole, || {
                format!("not a Status of {reason}: {value}")
            });
        }
        value
    }

    /// A Status that says no to something about the object.
    pub(super) fn refused_object(&mut self, what: &str, answer: &Answer, code: u16, reason: &str) {
        let details = self.refused(what, answer, code, reason)["details"].clone();
        let (name, group) = (self.name(), self.row.group().to_owned());
        let of = details["kind"].as_str().unwrap_or_default();
        let is_own = details["name"] == name.as_str()
            && details["group"].as_str().unwrap_or_default() == group
            && of == self.row.plural();
        if answer.status == code {
            self.check(what, is_own, || {
                format!("details are of something else: {details}")
            });
        }
    }
}

/// The text of a body; nothing for Null.
pub(super) fn text(body: &Value) -> String {
    if body.is_null() {
        String::new()
    } else {
        body.to_string()
    }
}
