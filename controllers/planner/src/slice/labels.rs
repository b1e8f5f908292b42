//! The labels of a slice: the Service's, and the three that are reserved. No other metadata.

use pointsman_crds::names::{LABEL_HEADLESS, LABEL_SLICE_MANAGED_BY, LABEL_SLICE_SERVICE, SLICE_MANAGED_BY};

use crate::model::{Labels, Service};

/// The labels of every slice of `service`. The headless label counts as much as any other: a Service that becomes headless
/// has its slices relabelled, else proxies would go on reading them.
pub fn of_slices(service: &Service) -> Labels {
    let mut labels = service.labels.clone();
    labels.remove(LABEL_HEADLESS);
    labels.insert(LABEL_SLICE_SERVICE.to_owned(), service.key.name.clone());
    labels.insert(LABEL_SLICE_MANAGED_BY.to_owned(), SLICE_MANAGED_BY.to_owned());
    if service.headless {
        labels.insert(LABEL_HEADLESS.to_owned(), String::new());
    }
    labels
}
