//! Walking a document: each value with its place, and a report to write faults into.
//!
//! A reader asks a [`Node`] for what it expects. What is not so becomes a fault and reads as
//! absent; the document is refused as soon as the report holds one fault, so what absent
//! then means does not matter. That way every fault is found in one pass.

use std::cell::RefCell;
use std::fmt::{Display, Write};
use std::str::FromStr;

use serde_json::{Map, Value};

use super::fault::{Fault, Faults};
use crate::model::{Tag, Tags};

/// Where faults are written.
#[derive(Default)]
pub(super) struct Report(RefCell<Vec<Fault>>);

impl Report {
    pub(super) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    pub(super) fn into_faults(self) -> Option<Faults> {
        Faults::of(self.0.into_inner())
    }
}

/// The way from a rule to one of its members.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    /// The rule itself, with its position in the document.
    Rule(Option<usize>),
    Member(&'a str),
    Index(usize),
}

impl Place<'_> {
    fn write(&self, path: &mut String) -> Option<usize> {
        let rule = self.parent.and_then(|p| p.write(path));
        match self.step {
            Step::Rule(at) => return at,
            Step::Member(name) if path.is_empty() => path.push_str(name),
            // Writing into a String does not fail.
            Step::Member(name) => _ = write!(path, ".{name}"),
            Step::Index(at) => _ = write!(path, "[{at}]"),
        }
        rule
    }
}

/// A value and its place.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    value: &'a Value,
    place: Place<'a>,
    report: &'a Report,
}

impl<'a> Node<'a> {
    pub(super) fn rule(value: &'a Value, at: Option<usize>, report: &'a Report) -> Self {
        let place = Place {
            parent: None,
            step: Step::Rule(at),
        };
        Self {
            value,
            place,
            report,
        }
    }

    pub(super) fn fault(&self, reason: impl Display) {
        let mut faults = self.report.0.borrow_mut();
        if faults.len() < Faults::MAX {
            let mut path = String::new();
            let rule = self.place.write(&mut path);
            let reason = reason.to_string();
            faults.push(Fault { rule, path, reason });
        }
    }

    /// A fault of the member `name` of this object.
    pub(super) fn fault_in(self, name: &str, reason: impl Display) {
        if let Some(object) = self.map() {
            object.at(name).fault(reason);
        }
    }

    /// What `found` holds; an error becomes a fault of this value.
    pub(super) fn check<T, E: Display>(&self, found: Result<T, E>) -> Option<T> {
        found.map_err(|e| self.fault(e)).ok()
    }

    pub(super) fn report(&self) -> &'a Report {
        self.report
    }

    /// The value as an object whose members are among `known`.
    pub(super) fn object(self, known: &[&str]) -> Option<Object<'a>> {
        let object = self.map()?;
        for name in object.members.keys() {
            if !known.contains(&name.as_str()) {
                let known = known.join(", ");
                object
                    .at(name)
                    .fault(format_args!("unknown member; known are {known}"));
            }
        }
        Some(object)
    }

    /// The value as an object with members of any name.
    pub(super) fn map(self) -> Option<Object<'a>> {
        match self.value {
            Value::Object(members) => Some(Object {
                members,
                node: self,
            }),
            _ => self.wrong("an object"),
        }
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        match self.value {
            Value::String(text) => Some(text),
            _ => self.wrong("a text"),
        }
    }

    /// A text of at most `max` bytes.
    pub(super) fn bounded_text(&self, max: usize) -> Option<&'a str> {
        let text = self.text()?;
        if text.len() > max {
            let got = text.len();
            self.fault(format_args!("has {got} bytes, at most {max} are allowed"));
            return None;
        }
        Some(text)
    }

    /// A text that is a `T`.
    pub(super) fn parse<T: FromStr<Err: Display>>(&self) -> Option<T> {
        self.check(self.text()?.parse())
    }

    pub(super) fn number(&self) -> Option<f64> {
        match self.value.as_f64() {
            Some(number) => Some(number),
            None => self.wrong("a number"),
        }
    }

    pub(super) fn integer(&self) -> Option<i64> {
        let Value::Number(number) = self.value else {
            return self.wrong("a whole number");
        };
        // Up to 2^53 a float is exactly the whole number that it looks like.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        let whole = number.as_i64().or_else(|| {
            let float = number.as_f64()?;
            (float.fract() == 0.0 && float.abs() <= EXACT).then_some(float as i64)
        });
        if whole.is_none() {
            self.fault(format_args!("must be a whole number, got {number}"));
        }
        whole
    }

    /// A whole number, 0 or more.
    pub(super) fn count(&self) -> Option<u32> {
        let given = self.integer()?;
        self.check(u32::try_from(given).map_err(|_| {
            let max = u32::MAX;
            format!("must be at least 0 and at most {max}, got {given}")
        }))
    }

    /// The entries of a list that must not be empty.
    pub(super) fn entries(&'a self, max: usize) -> Option<impl Iterator<Item = Node<'a>>> {
        let Value::Array(entries) = self.value else {
            return self.wrong("a list");
        };
        if entries.is_empty() {
            self.fault("must not be empty");
            return None;
        }
        if entries.len() > max {
            let got = entries.len();
            self.fault(format_args!("has {got} entries, at most {max} are allowed"));
            return None;
        }
        Some(entries.iter().enumerate().map(|(at, value)| Node {
            value,
            place: Place {
                parent: Some(&self.place),
                step: Step::Index(at),
            },
            report: self.report,
        }))
    }

    pub(super) fn is_empty_text(&self) -> bool {
        self.value.as_str() == Some("")
    }

    pub(super) fn is_empty_list(&self) -> bool {
        self.value.as_array().is_some_and(Vec::is_empty)
    }

    /// A list of tags, none of them twice.
    pub(super) fn tags(&self) -> Option<Tags> {
        let listed: Vec<Tag> = self
            .entries(MAX_TAGS)?
            .filter_map(|entry| entry.parse())
            .collect();
        let given = listed.len();
        let tags = Tags::from(listed);
        if tags.len() < given {
            self.fault("has a tag twice");
        }
        Some(tags)
    }

    fn wrong<T>(&self, wanted: &str) -> Option<T> {
        let is = match self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(b) => format!("{b}"),
            Value::Number(n) => format!("the number {n}"),
            Value::String(_) => "a text".to_owned(),
            Value::Array(_) => "a list".to_owned(),
            Value::Object(_) => "an object".to_owned(),
        };
        let quote = match self.value {
            Value::Bool(_) | Value::Number(_) if wanted == "a text" => "; put it in quotes",
            _ => "",
        };
        self.fault(format_args!("must be {wanted}, is {is}{quote}"));
        None
    }
}

/// The most tags that a set in a rule may have.
pub(super) const MAX_TAGS: usize = 64;

/// An object and its place.
pub(super) struct Object<'a> {
    members: &'a Map<String, Value>,
    node: Node<'a>,
}

impl Object<'_> {
    /// The member `name`; `null` is as good as absent.
    pub(super) fn get<'b>(&'b self, name: &'b str) -> Option<Node<'b>> {
        let node = self.at(name);
        (!node.value.is_null()).then_some(node)
    }

    /// The member `name`; absent is a fault.
    pub(super) fn required<'b>(&'b self, name: &'b str) -> Option<Node<'b>> {
        let found = self.get(name);
        if found.is_none() {
            self.at(name).fault("is required");
        }
        found
    }

    /// The place of the member `name`, which may be absent.
    fn at<'b>(&'b self, name: &'b str) -> Node<'b> {
        Node {
            value: self.members.get(name).unwrap_or(&Value::Null),
            place: Place {
                parent: Some(&self.node.place),
                step: Step::Member(name),
            },
            report: self.node.report,
        }
    }

    /// All members by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Node<'_>)> {
        self.members
            .keys()
            .map(|name| (name.as_str(), self.at(name)))
    }

    /// How many members there are.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// A fault of the object itself.
    pub(super) fn fault(&self, reason: impl Display) {
        self.node.fault(reason);
    }
}
