//! Sets of characters as they are written: `[a-z&&[^x]]`, `[[:alpha:]]`, `\p{Alpha}`.

use super::*;

impl Reader<'_> {
    pub(super) fn property(&mut self, negate: bool) -> Result<Class, PatternError> {
        if !self.eat("{") {
            return Err(self.fail("a `{` is missing"));
        }
        let negate = negate ^ self.eat("^");
        let end = self.text[self.at..].find('}').ok_or_else(|| self.fail("a `{` is not closed"))?;
        let name = self.text[self.at..self.at + end].to_owned();
        let class = Class::of_name(&name).ok_or_else(|| self.fail(&format!("there is no property `{name}`")))?;
        self.at += end + 1;
        Ok(if negate { class.negate() } else { class })
    }

    /// What follows `[`, up to its `]`.
    pub(super) fn class(&mut self, flags: Flags) -> Result<Class, PatternError> {
        if self.depth == DEPTH_MAX {
            return Err(self.fail("it nests too deep"));
        }
        self.depth += 1;
        let negate = self.eat("^");
        let mut class = Class::empty();
        let mut intersection: Option<Class> = None;
        let mut first = true;
        loop {
            let sign = self.next().ok_or_else(|| self.fail("a `[` is not closed"))?;
            match sign {
                ']' if !first => break,
                '[' => {
                    if let Some(named) = self.bracket()? {
                        class = class.union(&named);
                    } else {
                        class = class.union(&self.class(flags)?);
                    }
                }
                '&' if self.eat("&") => {
                    let left = std::mem::replace(&mut class, Class::empty());
                    intersection = Some(match intersection {
                        Some(before) => before.intersect(&left),
                        None => left,
                    });
                }
                _ => {
                    if let Some(low) = self.class_item(sign, &mut class)? {
                        let ranged = self.text[self.at..].starts_with('-') && !self.text[self.at..].starts_with("-]");
                        let high = if ranged { self.range_end()? } else { Some(low) };
                        match high {
                            Some(high) if low <= high => class = class.union(&Class::of_range(low, high)),
                            Some(_) => return Err(self.fail("a range must go upwards")),
                            // What followed the hyphen is a set: the hyphen stands for itself.
                            None => class = class.union(&Class::of_range(low, low)).union(&Class::of_range('-', '-')),
                        }
                    }
                }
            }
            first = false;
        }
        self.depth -= 1;
        if let Some(before) = intersection {
            class = before.intersect(&class);
        }
        if flags.fold {
            class = class.fold();
        }
        Ok(if negate { class.negate() } else { class })
    }

    /// One character of a set; none where it was a set of its own, which is added.
    fn class_item(&mut self, sign: char, class: &mut Class) -> Result<Option<char>, PatternError> {
        if sign != '\\' {
            return Ok(Some(sign));
        }
        let letter = self.next().ok_or_else(|| self.fail("it ends with a backslash"))?;
        if letter == 'b' {
            return Ok(Some('\u{8}'));
        }
        if let Some(set) = Class::of_escape(letter) {
            *class = class.union(&set);
            return Ok(None);
        }
        if letter == 'p' || letter == 'P' {
            let set = self.property(letter == 'P')?;
            *class = class.union(&set);
            return Ok(None);
        }
        self.escaped_character(letter).map(Some)
    }

    fn range_end(&mut self) -> Result<Option<char>, PatternError> {
        let before = self.at;
        self.at += 1;
        let sign = self.next().ok_or_else(|| self.fail("a `[` is not closed"))?;
        if sign == '[' {
            self.at = before + 1;
            return Ok(None);
        }
        let mut set = Class::empty();
        let end = self.class_item(sign, &mut set)?;
        if end.is_none() {
            self.at = before + 1;
        }
        Ok(end)
    }

    /// `[:alpha:]` inside of a set, after its `[`.
    fn bracket(&mut self) -> Result<Option<Class>, PatternError> {
        let rest = &self.text[self.at..];
        let Some(inner) = rest.strip_prefix(':') else { return Ok(None) };
        let Some(end) = inner.find(":]") else { return Ok(None) };
        let name = &inner[..end];
        let (negate, word) = name.strip_prefix('^').map_or((false, name), |word| (true, word));
        if !word.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return Ok(None);
        }
        let class = Class::of_name(word).ok_or_else(|| self.fail(&format!("there is no set `{word}`")))?;
        self.at += 1 + end + 2;
        Ok(Some(if negate { class.negate() } else { class }))
    }
}
