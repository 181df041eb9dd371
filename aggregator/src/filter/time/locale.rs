//! Names of months and days, where a locale is needed to read them.

/// The names of one language, all lower case, months from January, days from Monday, long and short.
#[derive(Debug)]
pub struct Names {
    /// Long and short names of the months.
    pub months: [[&'static str; 2]; 12],
    /// Long and short names of the days.
    pub days: [[&'static str; 2]; 7],
}

/// English: the default.
pub static ENGLISH: Names = Names {
    months: [
        ["january", "jan"],
        ["february", "feb"],
        ["march", "mar"],
        ["april", "apr"],
        ["may", "may"],
        ["june", "jun"],
        ["july", "jul"],
        ["august", "aug"],
        ["september", "sep"],
        ["october", "oct"],
        ["november", "nov"],
        ["december", "dec"],
    ],
    days: [
        ["monday", "mon"],
        ["tuesday", "tue"],
        ["wednesday", "wed"],
        ["thursday", "thu"],
        ["friday", "fri"],
        ["saturday", "sat"],
        ["sunday", "sun"],
    ],
};

static GERMAN: Names = Names {
    months: [
        ["januar", "jan"],
        ["februar", "feb"],
        ["märz", "mär"],
        ["april", "apr"],
        ["mai", "mai"],
        ["juni", "jun"],
        ["juli", "jul"],
        ["august", "aug"],
        ["september", "sep"],
        ["oktober", "okt"],
        ["november", "nov"],
        ["dezember", "dez"],
    ],
    days: [
        ["montag", "mo"],
        ["dienstag", "di"],
        ["mittwoch", "mi"],
        ["donnerstag", "do"],
        ["freitag", "fr"],
        ["samstag", "sa"],
        ["sonntag", "so"],
    ],
};

static FRENCH: Names = Names {
    months: [
        ["janvier", "janv."],
        ["février", "févr."],
        ["mars", "mars"],
        ["avril", "avr."],
        ["mai", "mai"],
        ["juin", "juin"],
        ["juillet", "juil."],
        ["août", "août"],
        ["septembre", "sept."],
        ["octobre", "oct."],
        ["novembre", "nov."],
        ["décembre", "déc."],
    ],
    days: [
        ["lundi", "lun."],
        ["mardi", "mar."],
        ["mercredi", "mer."],
        ["jeudi", "jeu."],
        ["vendredi", "ven."],
        ["samedi", "sam."],
        ["dimanche", "dim."],
    ],
};

static SPANISH: Names = Names {
    months: [
        ["enero", "ene"],
        ["febrero", "feb"],
        ["marzo", "mar"],
        ["abril", "abr"],
        ["mayo", "may"],
        ["junio", "jun"],
        ["julio", "jul"],
        ["agosto", "ago"],
        ["septiembre", "sep"],
        ["octubre", "oct"],
        ["noviembre", "nov"],
        ["diciembre", "dic"],
    ],
    days: [
        ["lunes", "lun"],
        ["martes", "mar"],
        ["miércoles", "mié"],
        ["jueves", "jue"],
        ["viernes", "vie"],
        ["sábado", "sáb"],
        ["domingo", "dom"],
    ],
};

static ITALIAN: Names = Names {
    months: [
        ["gennaio", "gen"],
        ["febbraio", "feb"],
        ["marzo", "mar"],
        ["aprile", "apr"],
        ["maggio", "mag"],
        ["giugno", "giu"],
        ["luglio", "lug"],
        ["agosto", "ago"],
        ["settembre", "set"],
        ["ottobre", "ott"],
        ["novembre", "nov"],
        ["dicembre", "dic"],
    ],
    days: [
        ["lunedì", "lun"],
        ["martedì", "mar"],
        ["mercoledì", "mer"],
        ["giovedì", "gio"],
        ["venerdì", "ven"],
        ["sabato", "sab"],
        ["domenica", "dom"],
    ],
};

static PORTUGUESE: Names = Names {
    months: [
        ["janeiro", "jan"],
        ["fevereiro", "fev"],
        ["março", "mar"],
        ["abril", "abr"],
        ["maio", "mai"],
        ["junho", "jun"],
        ["julho", "jul"],
        ["agosto", "ago"],
        ["setembro", "set"],
        ["outubro", "out"],
        ["novembro", "nov"],
        ["dezembro", "dez"],
    ],
    days: [
        ["segunda-feira", "seg"],
        ["terça-feira", "ter"],
        ["quarta-feira", "qua"],
        ["quinta-feira", "qui"],
        ["sexta-feira", "sex"],
        ["sábado", "sáb"],
        ["domingo", "dom"],
    ],
};

static DUTCH: Names = Names {
    months: [
        ["januari", "jan"],
        ["februari", "feb"],
        ["maart", "mrt"],
        ["april", "apr"],
        ["mei", "mei"],
        ["juni", "jun"],
        ["juli", "jul"],
        ["augustus", "aug"],
        ["september", "sep"],
        ["oktober", "okt"],
        ["november", "nov"],
        ["december", "dec"],
    ],
    days: [
        ["maandag", "ma"],
        ["dinsdag", "di"],
        ["woensdag", "wo"],
        ["donderdag", "do"],
        ["vrijdag", "vr"],
        ["zaterdag", "za"],
        ["zondag", "zo"],
    ],
};

/// The languages there are, by their two letters.
pub const LANGUAGES: &[(&str, &Names)] = &[
    ("en", &ENGLISH),
    ("de", &GERMAN),
    ("fr", &FRENCH),
    ("es", &SPANISH),
    ("it", &ITALIAN),
    ("pt", &PORTUGUESE),
    ("nl", &DUTCH),
];

/// The names for a locale such as `fr`, `fr-FR` or `fr_FR`.
pub fn find(locale: &str) -> Option<&'static Names> {
    let language = locale.split(['-', '_']).next()?.to_ascii_lowercase();
    LANGUAGES.iter().find(|(code, _)| *code == language).map(|(_, names)| *names)
}

/// The name of which `text` begins with the longest, as its index and length in bytes.
pub fn read(names: &[[&str; 2]], text: &str) -> Option<(usize, usize)> {
    let mut best: Option<(usize, usize)> = None;
    for (index, forms) in names.iter().enumerate() {
        // A short name is read without its full stop too, as people write it.
        for form in forms.iter().flat_map(|form| [*form, form.trim_end_matches('.')]) {
            if best.is_none_or(|(_, len)| form.len() > len) && starts_with_folded(text, form) {
                best = Some((index, form.len()));
            }
        }
    }
    best
}

/// Whether `text` begins with `lower`, whatever its letters' case; both take the same number of bytes.
fn starts_with_folded(text: &str, lower: &str) -> bool {
    match text.get(..lower.len()) {
        Some(head) if head.is_ascii() => head.eq_ignore_ascii_case(lower),
        Some(head) => head.to_lowercase() == *lower,
        None => false,
    }
}
