//! Settings of the sketches, with the names that RedisBloom's directives have.

/// What a sketch is like that nobody says more about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SketchSettings {
    /// `bf-error-rate`
    pub bf_error_rate: f64,
    /// `bf-initial-size`
    pub bf_initial_size: u64,
    /// `bf-expansion-factor`; 0 makes filters that do not scale.
    pub bf_expansion_factor: u32,
    /// `cf-bucket-size`
    pub cf_bucket_size: u8,
    /// `cf-initial-size`
    pub cf_initial_size: u64,
    /// `cf-max-iterations`
    pub cf_max_iterations: u16,
    /// `cf-expansion-factor`
    pub cf_expansion_factor: u16,
    /// `cf-max-expansions`: most layers of a cuckoo filter.
    pub cf_max_expansions: usize,
}

impl Default for SketchSettings {
    fn default() -> Self {
        SketchSettings {
            bf_error_rate: 0.01,
            bf_initial_size: 100,
            bf_expansion_factor: 2,
            cf_bucket_size: 2,
            cf_initial_size: 1024,
            cf_max_iterations: 20,
            cf_expansion_factor: 1,
            cf_max_expansions: 32,
        }
    }
}

/// Two settings are equal when all parts are, and no rate is ever not a number.
impl Eq for SketchSettings {}
