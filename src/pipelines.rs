//! The pipeline files that are built in, for a weir that is started where there is no `pipelines` folder.

macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        /// Name and text of each file, in order of name.
        pub const BUILT_IN: &[(&str, &str)] = &[$(($name, include_str!(concat!("../pipelines/", $name)))),*];
    };
}

built_in!(
    "00-level.conf",
    "20-nginx.conf",
    "21-ruby.conf",
    "22-postgresql.conf",
    "23-python.conf",
    "24-json.conf",
    "25-logfmt.conf",
    "26-rust-tracing.conf",
    "27-java.conf",
    "28-redis.conf",
    "29-klog.conf",
    "30-syslog.conf",
    "99-policy.conf",
);

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
