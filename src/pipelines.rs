//! The pipeline files that are built in, for a weir that is started where there is no `pipelines` folder.

macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        /// Name and text of each file, in order of name.
        pub const BUILT_IN: &[(&str, &str)] = &[$(($name, include_str!(concat!("../pipelines/", $name)))),*];
    };
}

built_in!();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_file_is_built_in_and_in_order() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".conf"))
            .collect();
        files.sort();
        let built_in: Vec<_> = BUILT_IN.iter().map(|(name, _)| *name).collect();
        assert_eq!(built_in, files);
    }
}
