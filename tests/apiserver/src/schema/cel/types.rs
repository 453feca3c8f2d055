//! Whether a rule speaks of what is there, ends in a truth value, and can be paid for.
//!
//! The real server checks all types. This finds what is commonly wrong: members that the schema
//! does not have, results that are no truth values, and lists without bounds inside of lists.

mod names;

use kube_cel::cel::Program;
use kube_cel::cel::common::ast::{Expr, LiteralValue};
use serde_json::Value;

use names::{FUNCTIONS, NAMES};

/// What an expression is, so far as it is known.
#[derive(Clone)]
enum Kind<'a> {
    Unknown,
    Truth,
    /// Something else than a truth value: `int`, `string`…
    Other(&'static str),
    Of(&'a Value),
    /// The root, which has some metadata besides.
    Root(&'a Value),
    Metadata,
}

/// How many items the real server expects of a list without a bound.
const UNBOUNDED: u64 = 1_048_576;
/// What one rule may cost.
const BUDGET: u64 = 10_000_000;

struct Checker<'a> {
    names: Vec<(String, Kind<'a>)>,
    rule: &'a str,
    /// What compiling fails with.
    wrong: Option<String>,
    /// The most that is done for one object.
    times: u64,
    most: u64,
}

/// What is wrong with a rule of a schema; `None` for what cannot be seen.
pub(crate) enum Wrong {
    /// In the words that compiling fails with.
    Compilation(String),
    NoTruth,
    /// By how much too expensive it is.
    Cost(f64),
}

/// Looks at a rule that can be read.
pub(crate) fn check<'a>(rule: &'a str, schema: &'a Value, root: bool) -> Option<Wrong> {
    let program = Program::compile(rule).ok()?;
    let of = |schema| {
        if root {
            Kind::Root(schema)
        } else {
            Kind::Of(schema)
        }
    };
    let names = ["self", "oldSelf"].map(|name| (name.to_owned(), of(schema)));
    let mut checker = Checker {
        names: names.into(),
        rule,
        wrong: None,
        times: 1,
        most: 1,
    };
    let kind = checker.kind(&program.expression().expr);
    if let Some(why) = checker.wrong {
        return Some(Wrong::Compilation(why));
    }
    match kind {
        Kind::Other(_) | Kind::Root(_) | Kind::Metadata => return Some(Wrong::NoTruth),
        Kind::Of(schema) if schema["type"].as_str().is_some_and(|is| is != "boolean") => {
            return Some(Wrong::NoTruth);
        }
        _ => {}
    }
    let factor = checker.most as f64 / BUDGET as f64;
    (factor > 1.0).then_some(Wrong::Cost(factor))
}

/// As the compiler says it, with the place.
fn said(rule: &str, at: usize, what: &str) -> String {
    let dots = ".".repeat(at);
    format!("ERROR: <input>:1:{}: {what}\n | {rule}\n | {dots}^", at + 1)
}

fn undefined(rule: &str, name: &str, test: bool) -> String {
    let found = rule.find(&format!(".{name}")).unwrap_or(0);
    let at = if test {
        let macros = rule[..found].rfind("has(");
        macros.map_or(found, |at| at + 3)
    } else {
        found
    };
    said(rule, at, &format!("undefined field '{name}'"))
}

fn undeclared(rule: &str, name: &str, behind: usize) -> String {
    let at = rule.find(name).unwrap_or(0) + behind;
    said(
        rule,
        at,
        &format!("undeclared reference to '{name}' (in container '')"),
    )
}

/// How a member is spelt in the schema.
fn member_name(name: &str) -> String {
    let inner = name.strip_prefix("__").and_then(|n| n.strip_suffix("__"));
    match inner {
        Some(word) if word.chars().all(|c| c.is_ascii_lowercase()) => word.to_owned(),
        _ => name
            .replace("__underscores__", "__")
            .replace("__dot__", ".")
            .replace("__dash__", "-")
            .replace("__slash__", "/"),
    }
}

impl<'a> Checker<'a> {
    fn function(&mut self, name: &str) {
        let operator = !name.starts_with(|c: char| c.is_ascii_alphabetic());
        if !operator && !FUNCTIONS.contains(&name) {
            self.wrong
                .get_or_insert_with(|| undeclared(self.rule, name, name.len()));
        }
    }

    /// What a value is called, where that is certain.
    fn name_of(&self, kind: &Kind<'_>) -> Option<&'static str> {
        match kind {
            Kind::Truth => Some("bool"),
            Kind::Other("") => None,
            Kind::Other(name) => Some(name),
            Kind::Of(schema) if schema["x-kubernetes-int-or-string"] == true => None,
            Kind::Of(schema) if !schema["format"].is_null() => match schema["type"].as_str()? {
                "integer" => Some("int"),
                _ => None,
            },
            Kind::Of(schema) => match schema["type"].as_str()? {
                "string" => Some("string"),
                "integer" => Some("int"),
                "number" => Some("double"),
                "boolean" => Some("bool"),
                _ => None,
            },
            _ => None,
        }
    }

    /// Only what is of one type can be equal.
    fn same(&mut self, operator: &str, left: &Kind<'_>, right: &Kind<'_>) {
        let (Some(left), Some(right)) = (self.name_of(left), self.name_of(right)) else {
            return;
        };
        let plain = ["bool", "string", "int", "double"];
        if left == right || !plain.contains(&left) || !plain.contains(&right) {
            return;
        }
        let sign = operator.trim_matches('_');
        let at = self.rule.find(sign).unwrap_or(0);
        let what =
            format!("found no matching overload for '{operator}' applied to '({left}, {right})'");
        self.wrong.get_or_insert_with(|| said(self.rule, at, &what));
    }

    fn kind(&mut self, expression: &Expr) -> Kind<'a> {
        match expression {
            Expr::Ident(name) => {
                let found = self.names.iter().rev().find(|(known, _)| known == name);
                match found {
                    Some((_, kind)) => kind.clone(),
                    None => {
                        if !NAMES.contains(&name.as_str()) {
                            self.wrong
                                .get_or_insert_with(|| undeclared(self.rule, name, 0));
                        }
                        Kind::Unknown
                    }
                }
            }
            Expr::Literal(LiteralValue::Boolean(_)) => Kind::Truth,
            Expr::Literal(LiteralValue::String(_)) => Kind::Other("string"),
            Expr::Literal(LiteralValue::Int(_)) => Kind::Other("int"),
            Expr::Literal(LiteralValue::Double(_)) => Kind::Other("double"),
            Expr::Literal(LiteralValue::Null) => Kind::Unknown,
            Expr::Literal(_) => Kind::Other("bytes"),
            Expr::Map(_) | Expr::Struct(_) => Kind::Other("map"),
            Expr::List(list) => {
                for item in &list.elements {
                    self.kind(&item.expr);
                }
                Kind::Other("list")
            }
            Expr::Select(select) => {
                let operand = self.kind(&select.operand.expr);
                let member = self.member(&operand, &select.field, select.test);
                if select.test { Kind::Truth } else { member }
            }
            Expr::Call(call) => {
                let target = call.target.as_ref().map(|target| self.kind(&target.expr));
                let kinds: Vec<_> = call.args.iter().map(|one| self.kind(&one.expr)).collect();
                self.function(&call.func_name);
                if let ("_==_" | "_!=_", [left, right]) = (call.func_name.as_str(), &kinds[..]) {
                    self.same(&call.func_name, left, right);
                }
                match call.func_name.as_str() {
                    "_&&_" | "_||_" | "!_" | "_==_" | "_!=_" | "_<_" | "_<=_" | "_>_" | "_>=_"
                    | "@in" | "_in_" | "in" => Kind::Truth,
                    "size" | "int" => Kind::Other("int"),
                    "string" => Kind::Other("string"),
                    "double" => Kind::Other("double"),
                    "_+_" | "_-_" | "_*_" | "_/_" | "_%_" | "-_" => match kinds.first() {
                        Some(kind) if self.name_of(kind).is_some() => kind.clone(),
                        _ => Kind::Other(""),
                    },
                    "_?_:_" => kinds.get(1).cloned().unwrap_or(Kind::Unknown),
                    "_[_]" => match kinds.first().or(target.as_ref()) {
                        Some(Kind::Of(schema)) => inner(schema),
                        _ => Kind::Unknown,
                    },
                    _ => Kind::Unknown,
                }
            }
            Expr::Comprehension(over) => {
                let range = self.kind(&over.iter_range.expr);
                let (item, size) = match &range {
                    Kind::Of(schema) if schema["type"] == "array" => {
                        let bound = schema["maxItems"].as_u64();
                        (Kind::Of(&schema["items"]), bound.unwrap_or(UNBOUNDED))
                    }
                    Kind::Of(schema) => {
                        let bound = schema["maxProperties"].as_u64();
                        (Kind::Other("string"), bound.unwrap_or(UNBOUNDED))
                    }
                    _ => (Kind::Unknown, 1),
                };
                let result = self.kind(&over.accu_init.expr);
                let before = self.times;
                self.times = self.times.saturating_mul(size.max(1));
                self.most = self.most.max(self.times);
                let known = self.names.len();
                let key = if over.iter_var2.is_some() {
                    Kind::Unknown
                } else {
                    item
                };
                self.names.push((over.iter_var.clone(), key));
                if let Some(second) = &over.iter_var2 {
                    self.names.push((second.clone(), Kind::Unknown));
                }
                self.names.push((over.accu_var.clone(), result));
                self.kind(&over.loop_step.expr);
                let result = self.kind(&over.result.expr);
                self.names.truncate(known);
                self.times = before;
                result
            }
            Expr::Unspecified => Kind::Unknown,
        }
    }

    fn member(&mut self, of: &Kind<'a>, name: &str, test: bool) -> Kind<'a> {
        let schema = match of {
            Kind::Metadata if matches!(name, "name" | "generateName") => {
                return Kind::Other("string");
            }
            Kind::Root(_) if name == "metadata" => return Kind::Metadata,
            Kind::Root(_) if matches!(name, "apiVersion" | "kind") => {
                return Kind::Other("string");
            }
            Kind::Root(schema) | Kind::Of(schema) => schema,
            Kind::Metadata => {
                self.wrong
                    .get_or_insert_with(|| undefined(self.rule, name, test));
                return Kind::Unknown;
            }
            _ => return Kind::Unknown,
        };
        if schema["type"] != "object" || schema["x-kubernetes-embedded-resource"] == true {
            return Kind::Unknown;
        }
        match schema["properties"].get(member_name(name)) {
            Some(inner) => Kind::Of(inner),
            None if schema["additionalProperties"].is_object() => {
                Kind::Of(&schema["additionalProperties"])
            }
            None if schema["x-kubernetes-preserve-unknown-fields"] == true => Kind::Unknown,
            None => {
                self.wrong
                    .get_or_insert_with(|| undefined(self.rule, name, test));
                Kind::Unknown
            }
        }
    }
}

fn inner(schema: &Value) -> Kind<'_> {
    if schema["items"].is_object() {
        Kind::Of(&schema["items"])
    } else if schema["additionalProperties"].is_object() {
        Kind::Of(&schema["additionalProperties"])
    } else {
        Kind::Unknown
    }
}
