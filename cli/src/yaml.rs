//! YAML as it was written: documents that are changed in a few places and printed again.
//!
//! A plain scalar stays plain and a quoted one quoted, so whoever reads the result takes each for
//! what they would have taken it for before: `0644` and `yes` are numbers and booleans to some
//! readers and texts to others. Comments, anchors and the layout are not kept.

mod read;
mod write;

pub(crate) use read::documents;
pub(crate) use write::print;

use serde_json::Value;

/// A node, with its tag if it has one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    tag: Option<String>,
    content: Content,
}

#[derive(Debug, Clone, PartialEq)]
enum Content {
    /// What it stands for is up to the reader.
    Plain(String),
    /// A text, whatever it looks like.
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

impl Node {
    fn new(content: Content) -> Self {
        Self { tag: None, content }
    }

    /// A text.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::new(Content::Text(text.into()))
    }

    fn plain(text: impl Into<String>) -> Self {
        Self::new(Content::Plain(text.into()))
    }

    /// Whether there is nothing: no document, no value.
    pub(crate) fn is_null(&self) -> bool {
        self.tag.is_none()
            && matches!(&self.content, Content::Plain(text) if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The text of a scalar.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.content {
            Content::Plain(text) | Content::Text(text) => Some(text),
            Content::List(_) | Content::Map(_) => None,
        }
    }

    /// The entries of a list.
    pub(crate) fn as_list(&self) -> Option<&Vec<Node>> {
        match &self.content {
            Content::List(entries) => Some(entries),
            Content::Plain(_) | Content::Text(_) | Content::Map(_) => None,
        }
    }

    /// The entries of a list, to be changed.
    pub(crate) fn as_list_mut(&mut self) -> Option<&mut Vec<Node>> {
        match &mut self.content {
            Content::List(entries) => Some(entries),
            Content::Plain(_) | Content::Text(_) | Content::Map(_) => None,
        }
    }

    /// A member of a map.
    pub(crate) fn get(&self, name: &str) -> Option<&Node> {
        let Content::Map(members) = &self.content else {
            return None;
        };
        let mut members = members.iter();
        let found = members.find(|(key, _)| key.as_str() == Some(name));
        found.map(|(_, value)| value)
    }

    /// A member of a map, to be changed.
    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Node> {
        let Content::Map(members) = &mut self.content else {
            return None;
        };
        let mut members = members.iter_mut();
        let found = members.find(|(key, _)| key.as_str() == Some(name));
        found.map(|(_, value)| value)
    }

    /// The member at the end of a path of names.
    pub(crate) fn at(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, name| node.get(name))
    }

    /// Sets a member of a map; a new one comes last. Whether it is a map.
    pub(crate) fn set(&mut self, name: &str, value: Node) -> bool {
        if let Some(there) = self.get_mut(name) {
            *there = value;
            return true;
        }
        let Content::Map(members) = &mut self.content else {
            return false;
        };
        members.push((Node::text(name), value));
        true
    }

    /// Takes a member away from a map.
    pub(crate) fn remove(&mut self, name: &str) {
        if let Content::Map(members) = &mut self.content {
            members.retain(|(key, _)| key.as_str() != Some(name));
        }
    }

    /// The list that is this member of a map, made where there is none. `None` where
    /// something else is in its place.
    pub(crate) fn list_at(&mut self, name: &str) -> Option<&mut Vec<Node>> {
        if self.get(name).is_none_or(Node::is_null) {
            self.set(name, Node::new(Content::List(Vec::new())));
        }
        self.get_mut(name)?.as_list_mut()
    }
}

/// JSON is the same in YAML.
impl From<Value> for Node {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::plain("null"),
            Value::Bool(truth) => Self::plain(truth.to_string()),
            Value::Number(number) => Self::plain(number.to_string()),
            Value::String(text) => Self::text(text),
            Value::Array(entries) => {
                Self::new(Content::List(entries.into_iter().map(Self::from).collect()))
            }
            Value::Object(members) => {
                let members = members.into_iter();
                let members = members.map(|(name, value)| (Self::text(name), value.into()));
                Self::new(Content::Map(members.collect()))
            }
        }
    }
}

#[cfg(test)]
mod tests;
