//! A ledger: its root and its tables.

use crate::schema::{
    self, BILLING, CONTENT, CONTENT_PARTIAL, CORRECTIONS, EVIDENCE, PRICES, QUARANTINE, REGISTRY, RESOLUTIONS, USAGE,
    VALUATIONS,
};
use crate::table::Table;
use crate::{Error, Root};

/// An open ledger. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ledger {
    root: Root,
    usage: Table,
    content: Table,
    content_partial: Table,
    corrections: Table,
    quarantine: Table,
    resolutions: Table,
    prices: Table,
    valuations: Table,
    billing: Table,
    registry: Table,
    evidence: Table,
}

impl Ledger {
    /// Opens the ledger at `address`, which must exist.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none, [`Root::open`]'s and the store's errors.
    pub async fn open(address: &str) -> Result<Self, Error> {
        let ledger = Self::at(Root::open(address, false)?)?;
        match ledger.usage.exists().await? {
            true => Ok(ledger),
            false => Err(Error::NotFound { url: address.into() }),
        }
    }

    /// Opens the ledger at `address`, making it if there is none.
    ///
    /// # Errors
    /// [`Root::open`]'s and the store's errors; [`Error::NotAtomic`] if the store lets two writers win.
    pub async fn open_or_create(address: &str) -> Result<Self, Error> {
        Self::create_at(Root::open(address, true)?).await
    }

    /// As [`Ledger::open_or_create`], at a root of the caller's.
    ///
    /// # Errors
    /// As [`Ledger::open_or_create`].
    pub async fn create_at(root: Root) -> Result<Self, Error> {
        let ledger = Self::at(root)?;
        ledger.root.ensure_atomic().await?;
        for table in ledger.tables() {
            table.create().await?;
        }
        Ok(ledger)
    }

    fn at(root: Root) -> Result<Self, Error> {
        let table = |spec: &'static schema::Table| Table::new(&root, spec);
        Ok(Self {
            usage: table(&USAGE)?,
            content: table(&CONTENT)?,
            content_partial: table(&CONTENT_PARTIAL)?,
            corrections: table(&CORRECTIONS)?,
            quarantine: table(&QUARANTINE)?,
            resolutions: table(&RESOLUTIONS)?,
            prices: table(&PRICES)?,
            valuations: table(&VALUATIONS)?,
            billing: table(&BILLING)?,
            registry: table(&REGISTRY)?,
            evidence: table(&EVIDENCE)?,
            root,
        })
    }

    /// The same ledger as a process sees it that knows nothing of it yet: what is stored counts, not what is remembered.
    ///
    /// # Errors
    /// None that opening it did not have.
    pub fn anew(&self) -> Result<Self, Error> {
        Self::at(self.root.clone())
    }

    /// The ledger at `root`, a copy of this one: what is known of this one is known of it.
    ///
    /// # Errors
    /// None that opening it did not have.
    #[cfg(feature = "testing")]
    pub fn on_copy(&self, root: Root) -> Result<Self, Error> {
        let copy = Self::at(root)?;
        copy.tables().into_iter().zip(self.tables()).for_each(|(table, known)| table.remember_as(known));
        Ok(copy)
    }

    /// Where it is.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Every table; `usage` last, because it is committed last.
    pub fn tables(&self) -> Vec<&Table> {
        vec![
            &self.evidence,
            &self.registry,
            &self.billing,
            &self.valuations,
            &self.prices,
            &self.resolutions,
            &self.quarantine,
            &self.content,
            &self.content_partial,
            &self.corrections,
            &self.usage,
        ]
    }

    /// One row per call.
    pub fn usage(&self) -> &Table {
        &self.usage
    }

    /// What later events of a call tell beyond its row in `usage`.
    pub fn corrections(&self) -> &Table {
        &self.corrections
    }

    /// What was said.
    pub fn content(&self) -> &Table {
        &self.content
    }

    /// What was said in calls before their end.
    pub fn content_partial(&self) -> &Table {
        &self.content_partial
    }

    /// Messages that could not become entries.
    pub fn quarantine(&self) -> &Table {
        &self.quarantine
    }

    /// Which messages of `quarantine` were read after all.
    pub fn resolutions(&self) -> &Table {
        &self.resolutions
    }

    /// Imported price rows.
    pub fn prices(&self) -> &Table {
        &self.prices
    }

    /// What providers bill and report, apart from spend.
    pub fn billing(&self) -> &Table {
        &self.billing
    }

    /// What entries cost at other prices.
    pub fn valuations(&self) -> &Table {
        &self.valuations
    }

    /// Versions of the registry.
    pub fn registry(&self) -> &Table {
        &self.registry
    }

    /// Portability tests, exports, audits, erasures: written by [`Ledger::record`].
    pub fn evidence(&self) -> &Table {
        &self.evidence
    }
}
