//! One attempt to match at one place: instructions one by one, back to the last choice when one fails.

use super::*;

pub(super) struct Run<'a> {
    pub(super) program: &'a Program,
    pub(super) text: &'a str,
    pub(super) bytes: &'a [u8],
    pub(super) cache: &'a mut Cache,
    pub(super) steps: usize,
    pub(super) remember: bool,
    /// Whether it is inside of a look-around.
    pub(super) nested: bool,
    pub(super) base: usize,
}

impl Run<'_> {
    fn may(&self, bytes: Option<&Bytes>, at: usize) -> bool {
        match (bytes, self.bytes.get(at)) {
            (None, _) => true,
            (Some(bytes), Some(byte)) => bytes.has(*byte),
            (Some(_), None) => false,
        }
    }

    /// Whether a byte of the program's set of this number comes next; the first set is there always.
    #[inline]
    fn is_begun(&self, set: u32, at: usize) -> bool {
        set == 0 || self.bytes.get(at).is_some_and(|byte| self.program.sets[set as usize].has(*byte))
    }

    /// Runs from `pc` at `at` until it matches. The outer option is none when the steps are used up.
    pub(super) fn go(&mut self, pc: usize, at: usize) -> Option<Option<usize>> {
        let base = self.cache.stack.len();
        let program = self.program;
        let (mut pc, mut at) = (pc, at);
        loop {
            self.steps = self.steps.checked_sub(1)?;
            let mut fails = false;
            match &program.code[pc] {
                Inst::Match | Inst::End => return Some(Some(at)),
                Inst::Byte(byte) => {
                    fails = self.bytes.get(at) != Some(byte);
                    at += 1;
                    pc += 1;
                }
                Inst::Text(text) => {
                    if self.bytes[at..].starts_with(text) {
                        at += text.len();
                        pc += 1;
                    } else {
                        fails = true;
                    }
                }
                Inst::One(class) => {
                    let len = class.step(self.text, at);
                    at += len;
                    pc += 1;
                    fails = len == 0;
                }
                Inst::At(place) => {
                    fails = !self.is_at(*place, at);
                    pc += 1;
                }
                Inst::Save(index) => {
                    let value = std::mem::replace(&mut self.cache.slots[*index], at);
                    // Without a choice to go back to, failing here is failing at all; inside of a look-around it is not.
                    if self.nested || !self.cache.stack.is_empty() {
                        self.cache.stack.push(Frame::Slot { index: *index, value });
                    }
                    pc += 1;
                }
                Inst::Jump(to) => pc = *to,
                Inst::Split { first, second, first_set, second_set, choice } => {
                    if self.remember && self.seen(*choice as usize, at) {
                        fails = true;
                    } else {
                        let (first, second) = (*first as usize, *second as usize);
                        match (self.is_begun(*first_set, at), self.is_begun(*second_set, at)) {
                            (true, true) => {
                                self.cache.stack.push(Frame::Go { pc: second, at });
                                pc = first;
                            }
                            (true, false) => pc = first,
                            (false, true) => pc = second,
                            (false, false) => fails = true,
                        }
                    }
                }
                Inst::Run(run) => match self.run(run, pc, at) {
                    Some(end) => {
                        at = end;
                        pc += 1;
                    }
                    None => fails = true,
                },
                Inst::RoundStart(register) => {
                    let value = std::mem::replace(&mut self.cache.registers[*register], at);
                    self.cache.stack.push(Frame::Register { index: *register, value });
                    pc += 1;
                }
                Inst::RoundEnd { register, exit } => {
                    if self.cache.registers[*register] == at {
                        pc = *exit
                    } else {
                        pc += 1
                    }
                }
                Inst::Atomic { after } => {
                    let inner = self.cache.stack.len();
                    match self.go(pc + 1, at)? {
                        Some(end) => {
                            self.drop_choices(inner);
                            at = end;
                            pc = *after;
                        }
                        None => fails = true,
                    }
                }
                Inst::Look { after, negate, behind, next } => {
                    let found = self.is_begun(*next, at) && self.look(pc + 1, at, *behind, *negate)?;
                    if found != *negate {
                        pc = *after;
                    } else {
                        fails = true;
                    }
                }
                Inst::LookOne { class, negate, behind } => {
                    let found = if *behind {
                        self.text[..at].chars().next_back().is_some_and(|letter| class.has(letter))
                    } else {
                        class.step(self.text, at) > 0
                    };
                    fails = found == *negate;
                    pc += 1;
                }
            }
            if fails {
                match self.back(base) {
                    Some((next_pc, next_at)) => (pc, at) = (next_pc, next_at),
                    None => return Some(None),
                }
            }
        }
    }

    /// Takes back to the last choice above `base`.
    fn back(&mut self, base: usize) -> Option<(usize, usize)> {
        while self.cache.stack.len() > base {
            match self.cache.stack.pop()? {
                Frame::Go { pc, at } => return Some((pc, at)),
                Frame::Slot { index, value } => self.cache.slots[index] = value,
                Frame::Register { index, value } => self.cache.registers[index] = value,
                Frame::Shrink { pc, min, at } => {
                    let Inst::Run(run) = &self.program.code[pc] else { continue };
                    let mut end = at;
                    while end > min {
                        end -= 1;
                        self.steps = self.steps.saturating_sub(1);
                        if self.text.is_char_boundary(end) && self.may(run.next.as_ref(), end) {
                            if end > min {
                                self.cache.stack.push(Frame::Shrink { pc, min, at: end });
                            }
                            return Some((pc + 1, end));
                        }
                    }
                }
                Frame::Grow { pc, at, left } => {
                    let Inst::Run(run) = &self.program.code[pc] else { continue };
                    if let Some(end) = self.grow(run, pc, at, left) {
                        return Some((pc + 1, end));
                    }
                }
            }
        }
        None
    }

    /// The next end of a run that takes little, at least one character behind `at`.
    fn grow(&mut self, run: &compile::Run, pc: usize, at: usize, mut left: u32) -> Option<usize> {
        let mut end = at;
        loop {
            let len = if left > 0 { run.class.step(self.text, end) } else { 0 };
            if len == 0 {
                return None;
            }
            end += len;
            match &run.until_next {
                Some(scan) => {
                    let passed = scan.run(&self.bytes[end..]);
                    self.steps = self.steps.saturating_sub(1 + passed / 8);
                    end += passed;
                }
                None => {
                    self.steps = self.steps.saturating_sub(1);
                    left -= 1;
                }
            }
            if self.may(run.next.as_ref(), end) {
                self.cache.stack.push(Frame::Grow { pc, at: end, left });
                return Some(end);
            }
        }
    }

    fn run(&mut self, run: &compile::Run, pc: usize, at: usize) -> Option<usize> {
        if let (Some(scan), true) = (&run.whole, run.greedy) {
            let end = at + scan.run(&self.bytes[at..]);
            self.steps = self.steps.saturating_sub((end - at) / 8);
            // It is 0 or 1 here.
            let least = if run.min == 0 { at } else { at + run.class.step(self.text, at) };
            if run.min > 0 && least == at {
                return None;
            }
            if run.giving_back && end > least {
                self.cache.stack.push(Frame::Shrink { pc, min: least, at: end });
            }
            // Where what follows cannot begin here, the next end is tried at which it can.
            return self.may(run.next.as_ref(), end).then_some(end);
        }
        let (min, most) = (run.min, if run.greedy { run.max } else { run.min });
        // Nearly all of a line is ASCII: a byte is a character there.
        let ascii = run.ascii.run(&self.bytes[at..self.bytes.len().min(at.saturating_add(most as usize))]);
        let mut end = at + ascii;
        // No more than `most`, which is a u32.
        let mut count = ascii as u32;
        let mut least = if count >= min { at + min as usize } else { UNSET };
        // An ASCII character that ended the scan is not in the set.
        if self.bytes.get(end).is_some_and(|byte| *byte >= 0x80) {
            while count < most {
                let len = run.class.step(self.text, end);
                if len == 0 {
                    break;
                }
                end += len;
                count += 1;
                if count == min {
                    least = end;
                }
            }
        }
        self.steps = self.steps.saturating_sub(count as usize / 8);
        if count < min {
            return None;
        }
        if run.greedy {
            if run.giving_back && end > least {
                self.cache.stack.push(Frame::Shrink { pc, min: least, at: end });
            }
        } else {
            self.cache.stack.push(Frame::Grow { pc, at: end, left: run.max - count });
        }
        self.may(run.next.as_ref(), end).then_some(end)
    }

    /// Whether this choice was made at this place before; it is noted.
    fn seen(&mut self, choice: usize, at: usize) -> bool {
        let bit = choice * (self.bytes.len() - self.base + 1) + (at - self.base);
        let word = &mut self.cache.visited[bit / 64];
        let was = *word >> (bit % 64) & 1 == 1;
        *word |= 1 << (bit % 64);
        was
    }

    fn look(&mut self, pc: usize, at: usize, behind: Option<(u8, u8)>, negate: bool) -> Option<bool> {
        let remember = std::mem::replace(&mut self.remember, false);
        let nested = std::mem::replace(&mut self.nested, true);
        let result = self.look_around(pc, at, behind, negate);
        (self.remember, self.nested) = (remember, nested);
        result
    }

    fn look_around(&mut self, pc: usize, at: usize, behind: Option<(u8, u8)>, negate: bool) -> Option<bool> {
        let Some((min, max)) = behind else {
            return self.look_from(pc, at, None, negate);
        };
        let mut start = at;
        for _ in 0..min {
            match self.text[..start].chars().next_back() {
                Some(letter) => start -= letter.len_utf8(),
                None => return Some(false),
            }
        }
        for _ in min..=max {
            if self.look_from(pc, start, Some(at), negate)? {
                return Some(true);
            }
            match self.text[..start].chars().next_back() {
                Some(letter) => start -= letter.len_utf8(),
                None => return Some(false),
            }
        }
        Some(false)
    }

    fn look_from(&mut self, pc: usize, start: usize, end: Option<usize>, negate: bool) -> Option<bool> {
        let base = self.cache.stack.len();
        let mut found = self.go(pc, start)?;
        // Looking back, the match must end where it was looked from; another way through it may.
        while found.is_none() || (end.is_some() && found != end) {
            match self.back(base) {
                Some((pc, at)) => found = self.go(pc, at)?,
                None => {
                    found = None;
                    break;
                }
            }
        }
        if found.is_none() || negate {
            while self.cache.stack.len() > base {
                match self.cache.stack.pop() {
                    Some(Frame::Slot { index, value }) => self.cache.slots[index] = value,
                    Some(Frame::Register { index, value }) => self.cache.registers[index] = value,
                    _ => {}
                }
            }
        } else {
            self.drop_choices(base);
        }
        Some(found.is_some())
    }

    /// Drops the choices above `base`, and keeps what takes captures back.
    fn drop_choices(&mut self, base: usize) {
        let mut kept = base;
        for index in base..self.cache.stack.len() {
            if let Frame::Slot { .. } | Frame::Register { .. } = self.cache.stack[index] {
                self.cache.stack[kept] = self.cache.stack[index];
                kept += 1;
            }
        }
        self.cache.stack.truncate(kept);
    }

    fn is_at(&self, place: Place, at: usize) -> bool {
        match place {
            Place::TextStart => at == 0,
            Place::TextEnd => at == self.bytes.len(),
            Place::LineStart => at == 0 || self.bytes[at - 1] == b'\n',
            Place::LineEnd => self.bytes.get(at).is_none_or(|byte| *byte == b'\n'),
            Place::LastLineEnd => at == self.bytes.len() || (at + 1 == self.bytes.len() && self.bytes[at] == b'\n'),
            Place::WordEdge => self.is_word_edge(at),
            Place::NoWordEdge => !self.is_word_edge(at),
        }
    }

    fn is_word_edge(&self, at: usize) -> bool {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let wide = |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
        let before = match at.checked_sub(1).map(|index| self.bytes[index]) {
            None => false,
            Some(byte) if byte < 0x80 => word(byte),
            Some(_) => wide(self.text[..at].chars().next_back()),
        };
        let after = match self.bytes.get(at) {
            None => false,
            Some(byte) if *byte < 0x80 => word(*byte),
            Some(_) => wide(self.text[at..].chars().next()),
        };
        before != after
    }
}
