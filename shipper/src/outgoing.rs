//! The window that is being written, in the form in which this aggregator takes it.

use weir_lumberjack::{Compressor, TooLong, Window};

/// Buffers for windows that do not go out as they are.
#[derive(Debug)]
pub(crate) struct Outgoing {
    compressor: Option<Compressor>,
    compressed: Vec<u8>,
    /// The window with whole documents.
    whole: Window,
    form: Option<Form>,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    AsItIs,
    Whole,
    Compressed,
}

impl Outgoing {
    /// With a compression level, 0 for none.
    pub(crate) fn new(compression: u32) -> Self {
        let compressor = (compression > 0).then(|| Compressor::new(compression));
        Self { compressor, compressed: Vec::new(), whole: Window::new(), form: None }
    }

    /// The bytes of `window`, which stay the same until [`Self::done`]. `parts`: the aggregator takes events in parts.
    ///
    /// # Errors
    /// [`TooLong`] when a frame would pass 4 GiB, which no limit of ours allows.
    pub(crate) fn bytes<'a>(&'a mut self, window: &'a mut Window, parts: bool) -> Result<&'a [u8], TooLong> {
        let form = match self.form {
            Some(form) => form,
            None => self.prepare(window, parts)?,
        };
        self.form = Some(form);
        Ok(match form {
            Form::AsItIs => window.plain(),
            Form::Whole => self.whole.plain(),
            Form::Compressed => &self.compressed,
        })
    }

    fn prepare(&mut self, window: &mut Window, parts: bool) -> Result<Form, TooLong> {
        if !parts {
            window.whole(&mut self.whole)?;
        }
        let Some(compressor) = &mut self.compressor else {
            return Ok(if parts { Form::AsItIs } else { Form::Whole });
        };
        self.compressed.clear();
        let window = if parts { window } else { &mut self.whole };
        window.compress(compressor, &mut self.compressed)?;
        Ok(Form::Compressed)
    }

    /// The window is written, or its connection has ended.
    pub(crate) fn done(&mut self) {
        self.form = None;
    }
}
