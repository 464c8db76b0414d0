//! The line that is edited: its text, the cursor, and what keys do to them.

/// Holds the text and the cursor, which is between two characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    text: String,
    cursor: usize,
    /// The text that was cut last.
    cut: String,
}

/// Names how far the cursor goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    Character,
    Word,
    /// To the beginning or the end of a line of the text.
    Line,
}

impl Line {
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn cursor(&self) -> usize {
        self.cursor
    }

    /// Replaces the text, and puts the cursor at its end.
    pub(crate) fn set(&mut self, text: &str) {
        text.clone_into(&mut self.text);
        self.cursor = text.len();
    }

    /// Returns the text, and empties the line.
    pub(crate) fn take(&mut self) -> String {
        self.cursor = 0;
        std::mem::take(&mut self.text)
    }

    pub(crate) fn insert(&mut self, text: &str) {
        self.text.insert_str(self.cursor, text);
        self.cursor += text.len();
    }

    pub(crate) fn left(&mut self, reach: Reach) {
        self.cursor = self.before(reach);
    }

    pub(crate) fn right(&mut self, reach: Reach) {
        self.cursor = self.after(reach);
    }

    /// Removes what is before the cursor. More than a character can be put back.
    pub(crate) fn cut_left(&mut self, reach: Reach) {
        let start = self.before(reach);
        self.cut(start, self.cursor, reach);
        self.cursor = start;
    }

    /// Removes what is after the cursor. More than a character can be put back.
    pub(crate) fn cut_right(&mut self, reach: Reach) {
        self.cut(self.cursor, self.after(reach), reach);
    }

    fn cut(&mut self, start: usize, end: usize, reach: Reach) {
        let cut = self.text.drain(start..end).collect();
        if reach != Reach::Character {
            self.cut = cut;
        }
    }

    /// Puts back what was cut last.
    pub(crate) fn put_back(&mut self) {
        let cut = self.cut.clone();
        self.insert(&cut);
    }

    fn before(&self, reach: Reach) -> usize {
        let before = &self.text[..self.cursor];
        match reach {
            Reach::Character => {
                // A mark that has no width of its own belongs to the character before it.
                let start = before.char_indices().rev().find(|(_, c)| !is_mark(*c));
                start.map_or(0, |(at, _)| at)
            }
            Reach::Word => {
                let words = before.trim_end_matches(|c: char| !c.is_alphanumeric());
                words.trim_end_matches(char::is_alphanumeric).len()
            }
            Reach::Line => before.rfind('\n').map_or(0, |at| at + 1),
        }
    }

    fn after(&self, reach: Reach) -> usize {
        let after = &self.text[self.cursor..];
        let len = match reach {
            Reach::Character => {
                let mut characters = after.char_indices().skip(1);
                characters.find(|(_, c)| !is_mark(*c)).map_or(after.len(), |(at, _)| at)
            }
            Reach::Word => {
                let rest = after.trim_start_matches(|c: char| !c.is_alphanumeric());
                after.len() - rest.trim_start_matches(char::is_alphanumeric).len()
            }
            Reach::Line => after.find('\n').unwrap_or(after.len()),
        };
        self.cursor + len
    }
}

fn is_mark(c: char) -> bool {
    c != '\n' && unicode_width::UnicodeWidthChar::width(c) == Some(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows the cursor as a bar.
    fn shown(line: &Line) -> String {
        let (before, after) = line.text().split_at(line.cursor());
        format!("{before}|{after}")
    }

    #[test]
    fn the_cursor_moves_and_text_is_put_in() {
        let mut line = Line::default();
        line.insert("one, two");
        line.left(Reach::Word);
        assert_eq!(shown(&line), "one, |two");
        line.insert("é ");
        line.left(Reach::Character);
        line.left(Reach::Character);
        assert_eq!(shown(&line), "one, |é two");
        line.right(Reach::Word);
        assert_eq!(shown(&line), "one, é| two");
        line.left(Reach::Line);
        line.left(Reach::Character);
        assert_eq!(shown(&line), "|one, é two");
        line.right(Reach::Line);
        line.right(Reach::Word);
        assert_eq!(shown(&line), "one, é two|");
        assert_eq!(line.take(), "one, é two");
        assert_eq!(shown(&line), "|");
    }

    #[test]
    fn lines_of_the_text_have_beginnings_and_ends() {
        let mut line = Line::default();
        line.set("a\nbc\nd");
        line.left(Reach::Character);
        line.left(Reach::Character);
        line.left(Reach::Line);
        assert_eq!(shown(&line), "a\n|bc\nd");
        line.right(Reach::Line);
        assert_eq!(shown(&line), "a\nbc|\nd");
    }

    #[test]
    fn what_is_cut_can_be_put_back() {
        let mut line = Line::default();
        line.set("one two");
        line.cut_left(Reach::Word);
        line.left(Reach::Line);
        line.put_back();
        assert_eq!(shown(&line), "two|one ");
        line.cut_right(Reach::Line);
        line.cut_left(Reach::Character);
        assert_eq!(shown(&line), "tw|");
        line.cut_right(Reach::Character);
        line.put_back();
        assert_eq!(shown(&line), "twone |");
    }

    #[test]
    fn marks_stay_with_their_characters() {
        let mut line = Line::default();
        line.set("e\u{301}x");
        line.left(Reach::Character);
        line.cut_left(Reach::Character);
        assert_eq!(shown(&line), "|x");
    }
}
