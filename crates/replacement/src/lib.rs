//! Page-replacement policies as pure algorithms over frame numbers.
