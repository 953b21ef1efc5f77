//! A table of the report, as HTML and as Markdown.

use std::fmt::Write as _;

use super::words::escaped;

/// Rows under columns; the first column names the row.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Table {
    /// Above it; may be empty.
    pub(super) title: String,
    /// Names of the columns.
    pub(super) columns: Vec<String>,
    /// As many fields as columns.
    pub(super) rows: Vec<Vec<String>>,
    /// Below it; may be empty.
    pub(super) note: String,
}

impl Table {
    /// Without rows.
    pub(super) fn new(title: &str, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|&column| column.to_owned()).collect();
        Self { title: title.to_owned(), columns, ..Self::default() }
    }

    /// As HTML; on a phone each row becomes a list.
    pub(super) fn html(&self) -> String {
        let mut out = String::new();
        if !self.title.is_empty() {
            // Writing to a String cannot fail, here and below.
            let _ = write!(out, "<h3>{}</h3>", escaped(&self.title));
        }
        out.push_str("<table class=\"numbers\"><thead><tr>");
        for column in &self.columns {
            let _ = write!(out, "<th>{}</th>", escaped(column));
        }
        out.push_str("</tr></thead><tbody>\n");
        for row in &self.rows {
            out.push_str("<tr>");
            for (index, (column, field)) in self.columns.iter().zip(row).enumerate() {
                let (open, close) = if index == 0 { ("th scope=\"row\"", "th") } else { ("td", "td") };
                let _ = write!(
                    out,
                    "<{open} data-label=\"{}\"><span>{}</span></{close}>",
                    escaped(column),
                    escaped(field)
                );
            }
            out.push_str("</tr>\n");
        }
        out.push_str("</tbody></table>\n");
        if !self.note.is_empty() {
            let _ = writeln!(out, "<p class=\"rule\">{}</p>", escaped(&self.note));
        }
        out
    }

    /// As Markdown.
    pub(super) fn markdown(&self) -> String {
        let mut out = String::new();
        if !self.title.is_empty() {
            let _ = writeln!(out, "\n### {}\n", self.title);
        }
        let line = |fields: &[String]| {
            let fields: Vec<String> =
                fields.iter().map(|field| field.replace('|', "\\|").replace('\n', " ")).collect();
            format!("| {} |\n", fields.join(" | "))
        };
        out.push_str(&line(&self.columns));
        out.push_str(&"|---".repeat(self.columns.len()));
        out.push_str("|\n");
        self.rows.iter().for_each(|row| out.push_str(&line(row)));
        if !self.note.is_empty() {
            let _ = writeln!(out, "\n{}", self.note);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_the_same_in_both_forms() {
        let mut table = Table::new("Title", &["name", "a|b"]);
        table.rows.push(vec!["x".to_owned(), "1 < 2".to_owned()]);
        table.note = "Note.".to_owned();
        assert_eq!(table.markdown(), "\n### Title\n\n| name | a\\|b |\n|---|---|\n| x | 1 < 2 |\n\nNote.\n");
        let html = table.html();
        assert!(
            html.contains("<td data-label=\"a|b\"><span>1 &lt; 2</span></td>")
                && html.contains("<h3>Title</h3>")
        );
    }
}
