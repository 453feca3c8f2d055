//! From text to nodes: aliases and merge keys are resolved, and everything is bounded.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Tag};

use super::{Content, Node};

/// The most nodes of a stream, with those that aliases stand for.
const MAX_NODES: usize = 1_000_000;
/// How deep they may be nested.
const MAX_DEPTH: usize = 128;
/// The tags of YAML itself.
const CORE: &str = "tag:yaml.org,2002:";

/// What is being read.
#[derive(Default)]
struct Reader {
    /// The lists and maps that are open, outermost first.
    open: Vec<Open>,
    /// The root of the document, once it is there.
    root: Option<Node>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

struct Open {
    anchor: usize,
    tag: Option<String>,
    inside: Inside,
}

enum Inside {
    List(Vec<Node>),
    /// The members, and the name of the one that is to come.
    Map(Vec<(Node, Node)>, Option<Node>),
}

/// All documents of `text`; an empty one is null.
///
/// # Errors
/// What is wrong, and where.
pub(crate) fn documents(text: &str) -> Result<Vec<Node>, String> {
    let mut documents = Vec::new();
    let mut reader = Reader::default();
    let last_line = text.lines().count();
    let comment = text
        .lines()
        .last()
        .is_some_and(|last| last.starts_with('#'));
    let unended = !text.ends_with('\n') && !comment;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|e| e.to_string())?;
        let taken = match event {
            Event::DocumentStart(..) => {
                reader = Reader {
                    nodes: reader.nodes,
                    ..Reader::default()
                };
                Ok(())
            }
            Event::DocumentEnd => {
                documents.push(reader.root.take().unwrap_or_else(|| Node::plain("")));
                Ok(())
            }
            // The parser gives every block a line break at its end, also the one that ends with
            // the text and has none.
            Event::Scalar(mut block, style, anchor, tag)
                if unended
                    && matches!(style, ScalarStyle::Literal | ScalarStyle::Folded)
                    && span.end.line() >= last_line
                    && block.ends_with('\n') =>
            {
                block.to_mut().pop();
                reader.take(Event::Scalar(block, style, anchor, tag))
            }
            event => reader.take(event),
        };
        taken.map_err(|why| format!("{why}, at line {}", span.start.line()))?;
    }
    Ok(documents)
}

impl Reader {
    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let text = text.into_owned();
                let content = match style {
                    ScalarStyle::Plain => Content::Plain(text),
                    ScalarStyle::SingleQuoted
                    | ScalarStyle::DoubleQuoted
                    | ScalarStyle::Literal
                    | ScalarStyle::Folded => Content::Text(text),
                };
                let tag = tag.map(|tag| written(&tag));
                self.add(anchor, Node { tag, content })
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.begin(anchor, tag.as_deref(), Inside::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                self.begin(anchor, tag.as_deref(), Inside::Map(Vec::new(), None))
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                let there = self.anchors.get(&anchor).cloned();
                let node = there.ok_or("an alias stands for what it is in")?;
                self.nodes += count(&node);
                self.add(0, node)
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, anchor: usize, tag: Option<&Tag>, inside: Inside) -> Result<(), String> {
        if self.open.len() >= MAX_DEPTH {
            return Err(format!("is nested deeper than {MAX_DEPTH}"));
        }
        let tag = tag.map(written);
        self.open.push(Open {
            anchor,
            tag,
            inside,
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        let Some(Open {
            anchor,
            tag,
            inside,
        }) = self.open.pop()
        else {
            return Ok(());
        };
        let content = match inside {
            Inside::List(entries) => Content::List(entries),
            Inside::Map(members, _) => Content::Map(merged(members)?),
        };
        self.add(anchor, Node { tag, content })
    }

    fn add(&mut self, anchor: usize, node: Node) -> Result<(), String> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(format!("has more than {MAX_NODES} nodes"));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.inside) {
            None => self.root = Some(node),
            Some(Inside::List(entries)) => entries.push(node),
            Some(Inside::Map(members, name)) => match name.take() {
                None => *name = Some(node),
                Some(name) => {
                    if members.iter().any(|(there, _)| *there == name) && !is_merge(&name) {
                        let name = name.as_str().unwrap_or_default();
                        return Err(format!("member {name:?} is there twice"));
                    }
                    members.push((name, node));
                }
            },
        }
        Ok(())
    }
}

/// How many nodes it is, those in it included.
fn count(node: &Node) -> usize {
    match &node.content {
        Content::Plain(_) | Content::Text(_) => 1,
        Content::List(entries) => 1 + entries.iter().map(count).sum::<usize>(),
        Content::Map(members) => {
            let members = members.iter();
            1 + members.map(|(k, v)| count(k) + count(v)).sum::<usize>()
        }
    }
}

fn is_merge(name: &Node) -> bool {
    name.tag.is_none() && matches!(&name.content, Content::Plain(text) if text == "<<")
}

/// The members with those that `<<` takes over from other maps.
fn merged(members: Vec<(Node, Node)>) -> Result<Vec<(Node, Node)>, String> {
    if !members.iter().any(|(name, _)| is_merge(name)) {
        return Ok(members);
    }
    let (merges, mut members): (Vec<_>, Vec<_>) =
        members.into_iter().partition(|(name, _)| is_merge(name));
    for (_, from) in merges {
        let sources = match from.content {
            Content::List(sources) => sources,
            content => vec![Node { tag: None, content }],
        };
        for source in sources {
            let Content::Map(more) = source.content else {
                return Err("<< takes maps only".to_owned());
            };
            for (name, value) in more {
                let there = |there: &(Node, Node)| there.0.as_str() == name.as_str();
                if !members.iter().any(there) {
                    members.push((name, value));
                }
            }
        }
    }
    Ok(members)
}

/// The tag as it is written.
fn written(tag: &Tag) -> String {
    match (tag.handle(), tag.suffix()) {
        (CORE, suffix) => format!("!!{suffix}"),
        ("" | "!", suffix) => format!("!{suffix}"),
        (handle, suffix) => format!("!<{handle}{suffix}>"),
    }
}
