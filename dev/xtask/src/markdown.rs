//! Markdown as the documents use it: where links lead, what can be linked to, and blocks of code.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A link or a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) target: String,
    /// Where the whole of it stands.
    place: Range<usize>,
    /// Where what is shown stands.
    shown: Range<usize>,
}

/// A block of code, with the comment that stands above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// What stands behind the fence; `None` of one that is only indented.
    pub(crate) language: Option<String>,
    pub(crate) code: String,
    /// The last comment (`<!-- … -->`) if there is nothing between it and the block.
    pub(crate) comment: Option<String>,
    pub(crate) line: usize,
}

fn parser(text: &str) -> Parser<'_> {
    Parser::new_ext(text, Options::ENABLE_TABLES)
}

/// All links, in order.
pub(crate) fn links(text: &str) -> Vec<Link> {
    let mut links: Vec<Link> = Vec::new();
    let mut open = Vec::new();
    for (event, place) in parser(text).into_offset_iter() {
        match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                open.push(links.len());
                links.push(Link {
                    target: dest_url.into_string(),
                    shown: place.end..place.start,
                    place,
                });
            }
            Event::End(TagEnd::Link | TagEnd::Image) => {
                open.pop();
            }
            _ => {
                for index in &open {
                    let shown = &mut links[*index].shown;
                    *shown = shown.start.min(place.start)..shown.end.max(place.end);
                }
            }
        }
    }
    links
}

/// The text with what the links show in place of those that lead to what `is_absent`.
pub(crate) fn without_links(text: &str, is_absent: &dyn Fn(&str) -> bool) -> String {
    let mut kept = text.to_owned();
    for link in links(text).iter().rev() {
        if is_relative(&link.target) && is_absent(&link.target) {
            kept.replace_range(link.place.clone(), &text[link.shown.clone()]);
        }
    }
    kept
}

/// Does it lead to another file of the project?
pub(crate) fn is_relative(target: &str) -> bool {
    !target.starts_with('#') && !target.contains("://") && !target.starts_with("mailto:")
}

/// The file that a relative link in the file `from` leads to, both as paths from the same folder.
pub(crate) fn resolved(from: &str, target: &str) -> String {
    let target = target.split('#').next().unwrap_or_default();
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                // Out of the project: no file of this name is there.
                if parts.pop().is_none() {
                    parts.push("..");
                }
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The names of headings, as code hosts make them: small letters, hyphens for spaces, no other signs.
pub(crate) fn anchors(text: &str) -> Vec<String> {
    let mut anchors: Vec<String> = Vec::new();
    let mut heading: Option<String> = None;
    for event in parser(text) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                let name = slug(&heading.take().unwrap_or_default());
                let number = anchors.iter().filter(|it| **it == name).count();
                anchors.push(match number {
                    0 => name,
                    number => format!("{name}-{number}"),
                });
            }
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            _ => {}
        }
    }
    anchors
}

fn slug(heading: &str) -> String {
    let kept = heading.chars().filter_map(|it| match it {
        ' ' => Some('-'),
        '-' | '_' => Some(it),
        it if it.is_alphanumeric() => Some(it),
        _ => None,
    });
    kept.flat_map(char::to_lowercase).collect()
}

/// All blocks of code, in order.
pub(crate) fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut comment: Option<String> = None;
    let mut is_inside = false;
    for (event, place) in parser(text).into_offset_iter() {
        match event {
            Event::Html(html) | Event::InlineHtml(html) => {
                let html = html.trim();
                let inside = html.strip_prefix("<!--");
                let inside = inside.and_then(|it| it.strip_suffix("-->"));
                comment = inside.map(|it| it.trim().to_owned());
            }
            Event::Start(Tag::HtmlBlock) | Event::End(TagEnd::HtmlBlock) => {}
            Event::Start(Tag::CodeBlock(kind)) => {
                is_inside = true;
                blocks.push(Block {
                    language: match kind {
                        CodeBlockKind::Fenced(language) => Some(language.into_string()),
                        CodeBlockKind::Indented => None,
                    },
                    code: String::new(),
                    comment: comment.take(),
                    line: text[..place.start].matches('\n').count() + 1,
                });
            }
            Event::Text(code) if is_inside => {
                if let Some(block) = blocks.last_mut() {
                    block.code.push_str(&code);
                }
            }
            Event::End(TagEnd::CodeBlock) => is_inside = false,
            _ => comment = None,
        }
    }
    blocks
}

/// What stands between backquotes in running text.
pub(crate) fn code_spans(text: &str) -> Vec<(usize, String)> {
    let mut spans = Vec::new();
    for (event, place) in parser(text).into_offset_iter() {
        if let Event::Code(code) = event {
            let line = text[..place.start].matches('\n').count() + 1;
            spans.push((line, code.into_string()));
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# A page: *its* `code`, and more

See [this *one*](other.md#a-b) and ![a picture](p.png), [the web](https://x.example), [below](#twice).

<!-- runs: dist -->

```sh
ls dist
```

text

```text
a diagram
```

## Twice
## Twice

| `a b` | [c](../d.md) |
|---|---|
";

    #[test]
    fn links_are_found_in_text_and_tables() {
        let targets: Vec<String> = links(TEXT).into_iter().map(|it| it.target).collect();
        assert_eq!(
            targets,
            [
                "other.md#a-b",
                "p.png",
                "https://x.example",
                "#twice",
                "../d.md"
            ]
        );
    }

    #[test]
    fn a_link_to_what_is_absent_leaves_what_it_shows() {
        let text = without_links(TEXT, &|target| target != "p.png");
        assert!(text.contains("See this *one* and ![a picture](p.png), [the web]("));
        assert!(text.contains("[below](#twice)") && text.contains("| `a b` | c |"));
    }

    #[test]
    fn relative_links_are_followed_from_the_file_that_they_stand_in() {
        assert_eq!(resolved("docs/a.md", "b.md#c"), "docs/b.md");
        assert_eq!(resolved("docs/a.md", "../README.md"), "README.md");
        assert_eq!(resolved("README.md", "docs/x/../a.md"), "docs/a.md");
        assert_eq!(resolved("README.md", "../a.md"), "../a.md");
    }

    #[test]
    fn headings_are_linked_to_by_their_words() {
        assert_eq!(
            anchors(TEXT),
            ["a-page-its-code-and-more", "twice", "twice-1"]
        );
        assert_eq!(
            slug("The redirect URI, byte for byte"),
            "the-redirect-uri-byte-for-byte"
        );
    }

    #[test]
    fn a_block_has_the_comment_above_it_only() {
        let found = blocks(TEXT);
        let seen: Vec<_> = found
            .iter()
            .map(|it| {
                (
                    it.language.as_deref(),
                    it.code.as_str(),
                    it.comment.as_deref(),
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                (Some("sh"), "ls dist\n", Some("runs: dist")),
                (Some("text"), "a diagram\n", None)
            ]
        );
        assert_eq!(found[0].line, 7);
    }

    #[test]
    fn code_between_backquotes_is_found_with_its_line() {
        assert_eq!(code_spans(TEXT), [(1, "code".into()), (20, "a b".into())]);
    }
}
