//! A picture in the DOT language of Graphviz.

use super::picture::{Kind, Node, Picture};
use crate::plan::Plan;
use std::fmt::Write;

/// The whole picture, from left to right.
pub fn dot(plan: &Plan) -> String {
    let picture = Picture::new(plan);
    let mut out = String::from("digraph gateway {\n  rankdir=LR;\n  node [fontname=\"sans-serif\", fontsize=11];\n");
    out.push_str("  edge [fontname=\"sans-serif\", fontsize=10];\n");
    for (i, group) in picture.groups.iter().enumerate() {
        let indent = match &group.label {
            None => "  ",
            Some(label) => {
                let _ = writeln!(out, "  subgraph cluster_{i} {{\n    label=\"{}\";", escaped(label));
                "    "
            }
        };
        for node in &group.nodes {
            let _ = writeln!(out, "{indent}{} [label={}, {}];", node.id, label(node), shape(node.kind));
        }
        if group.label.is_some() {
            out.push_str("  }\n");
        }
    }
    for edge in &picture.edges {
        let label = (!edge.label.is_empty()).then(|| format!("label=\"{}\"", escaped(&edge.label)));
        let style = edge.dashed.then(|| "style=dashed".to_owned());
        let attributes: Vec<_> = label.into_iter().chain(style).collect();
        let attributes = if attributes.is_empty() { String::new() } else { format!(" [{}]", attributes.join(", ")) };
        let _ = writeln!(out, "  {} -> {}{attributes};", edge.from, edge.to);
    }
    out.push_str("}\n");
    out
}

fn label(node: &Node) -> String {
    // In a list of statements each line begins at the left.
    let end = if node.kind == Kind::Policies { "\\l" } else { "\\n" };
    let lines: Vec<_> = node.lines.iter().map(|line| escaped(line)).collect();
    let last = if node.kind == Kind::Policies { end } else { "" };
    format!("\"{}{last}\"", lines.join(end))
}

fn shape(kind: Kind) -> &'static str {
    match kind {
        Kind::Listener => "shape=cds",
        Kind::Route => "shape=box",
        Kind::Policies => "shape=note",
        Kind::Auth => "shape=hexagon",
        Kind::Upstream => "shape=cylinder",
        Kind::Answer => "shape=oval",
    }
}

/// What stands between quotes. Graphviz reads `\` before a letter as an escape of its own.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
