//! One request while it is being answered.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::Api;
use crate::access::User;
use crate::failure::Failure;
use crate::field::FieldError;
use crate::kinds::Kind;
use crate::wire::accept::Accept;
use crate::wire::reply::{Content, Reply};
use crate::wire::request::{Query, Target};
use crate::{shape, view};

/// One request, of somebody who may ask.
pub(crate) struct Call<'a> {
    pub(crate) api: &'a Arc<Api>,
    pub(crate) user: &'a User,
    pub(crate) target: &'a Target,
    pub(crate) query: &'a Query,
    pub(crate) accept: Option<&'a str>,
    pub(crate) content_type: &'a str,
    pub(crate) agent: &'a str,
    pub(crate) body: Bytes,
    /// What is said besides.
    pub(crate) warnings: Vec<String>,
}

/// What becomes of members that are not known, and of those that are there twice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    Strict,
    Warn,
    Ignore,
}

impl Call<'_> {
    /// The kind of the body, without its parameters.
    pub(crate) fn media_type(&self) -> &str {
        self.content_type.split(';').next().unwrap_or("").trim()
    }

    pub(crate) fn dry_run(&self) -> bool {
        self.query.has("dryRun")
    }

    pub(crate) fn field_validation(&self) -> FieldValidation {
        match self.query.get("fieldValidation") {
            "Strict" => FieldValidation::Strict,
            "Ignore" => FieldValidation::Ignore,
            _ => FieldValidation::Warn,
        }
    }

    /// Who is said to have written the fields.
    pub(crate) fn manager(&self) -> String {
        let given = self.query.get("fieldManager");
        if !given.is_empty() {
            return given.to_owned();
        }
        let agent = self.agent.split('/').next().unwrap_or_default();
        let agent: String = agent.chars().take(128).collect();
        if agent.is_empty() {
            "unknown".to_owned()
        } else {
            agent
        }
    }

    /// Checks what all writing requests may ask for. `options` is the kind that the real server
    /// reads the query as.
    pub(crate) fn check_options(&self, options: &str) -> Result<(), Failure> {
        let mut faults = Vec::new();
        let dry_run: Vec<_> = self.query.all("dryRun").collect();
        if dry_run.iter().any(|given| *given != "All") {
            faults.push(FieldError::unsupported("dryRun", &dry_run.into(), &["All"]));
        }
        let manager = self.query.get("fieldManager");
        if manager.len() > 128 {
            faults.push(FieldError::too_long("fieldManager", 128));
        }
        if manager.chars().any(char::is_control) {
            let said = "should only contain printable characters";
            faults.push(FieldError::invalid("fieldManager", &manager.into(), said));
        }
        let validation = self.query.get("fieldValidation");
        if !matches!(validation, "" | "Strict" | "Warn" | "Ignore") {
            let known = ["", "Ignore", "Strict", "Warn"];
            faults.push(FieldError::unsupported(
                "fieldValidation",
                &validation.into(),
                &known,
            ));
        }
        if options == "PatchOptions" {
            let apply = self.media_type() == "application/apply-patch+yaml";
            if apply && manager.is_empty() {
                let said = "is required for apply patch";
                faults.push(FieldError::required("fieldManager", said));
            }
            if !apply && self.query.has("force") {
                let said = "may not be specified for non-apply patch";
                faults.push(FieldError::forbidden("force", said));
            }
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Failure::invalid("meta.k8s.io", options, "", &faults))
        }
    }

    /// Answers with one object, in the shape that was asked for.
    pub(crate) fn reply(&self, status: u16, kind: &Kind, object: &Value) -> Result<Reply, Failure> {
        let accept = Accept::parse(self.accept, false)?;
        let object = view::of(kind, object);
        shape::check(self, accept.shape)?;
        let mut shaped = shape::one(accept.shape, kind, object.clone());
        shape::include(self, accept.shape, &mut shaped, &[object]);
        let mut reply = Reply::new(status, Content::Object(shaped));
        reply.format = accept.format;
        Ok(reply)
    }
}
