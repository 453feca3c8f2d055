//! What a client wants to read.

use crate::failure::Failure;

/// How an answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    #[default]
    Json,
    Yaml,
}

/// What an answer is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The objects themselves.
    #[default]
    Whole,
    /// Their metadata.
    Metadata,
    /// A row for each.
    Table,
}

/// What was agreed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Accept {
    pub(crate) format: Format,
    pub(crate) shape: Shape,
}

impl Accept {
    /// The first that we can do of what the client would read. `list` says whether the answer
    /// has many objects.
    pub(crate) fn parse(header: Option<&str>, list: bool) -> Result<Self, Failure> {
        let header = header.unwrap_or_default().trim();
        if header.is_empty() {
            return Ok(Self::default());
        }
        header
            .split(',')
            .find_map(|clause| Self::clause(clause, list))
            .ok_or_else(Failure::not_acceptable)
    }

    fn clause(clause: &str, list: bool) -> Option<Self> {
        let mut parts = clause.split(';').map(str::trim);
        let format = match parts.next()? {
            "application/json" | "*/*" | "application/*" => Format::Json,
            "application/yaml" => Format::Yaml,
            _ => return None,
        };
        let mut of = ("", "", "");
        for part in parts {
            match part.split_once('=') {
                Some(("as", value)) => of.0 = value,
                Some(("g", value)) => of.1 = value,
                Some(("v", value)) => of.2 = value,
                Some(("stream", "watch")) => {}
                _ => {}
            }
        }
        let shape = match of {
            ("", _, _) => Shape::Whole,
            ("PartialObjectMetadata", "meta.k8s.io", "v1" | "v1beta1") if !list => Shape::Metadata,
            ("PartialObjectMetadataList", "meta.k8s.io", "v1" | "v1beta1") if list => {
                Shape::Metadata
            }
            ("Table", "meta.k8s.io", "v1" | "v1beta1") => Shape::Table,
            _ => return None,
        };
        Some(Self { format, shape })
    }
}
