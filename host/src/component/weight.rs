//! How large an interface is once each type is written out wherever it is used, as a
//! signature has it. A few bytes can say "a pair of pairs of pairs …".

use std::collections::HashMap;
use wasmparser::component_types::{
    ComponentAnyTypeId, ComponentDefinedType, ComponentDefinedTypeId, ComponentEntityType,
    ComponentFuncTypeId, ComponentValType,
};
use wasmparser::types::TypesRef;

/// The sizes that are known. The validator has bounded how deep a type is.
#[derive(Default)]
pub(super) struct Weights(HashMap<ComponentDefinedTypeId, u64>);

impl Weights {
    /// The functions and types of an import or export.
    pub(super) fn item(&mut self, types: TypesRef<'_>, item: &ComponentEntityType) -> u64 {
        match item {
            ComponentEntityType::Instance(id) => {
                types[*id].exports.values().fold(1, |sum, export| {
                    sum.saturating_add(self.member(types, &export.ty))
                })
            }
            _ => self.member(types, item),
        }
    }

    /// What an interface can have: no instance within an instance.
    fn member(&mut self, types: TypesRef<'_>, item: &ComponentEntityType) -> u64 {
        match item {
            ComponentEntityType::Func(id) => self.function(types, *id),
            ComponentEntityType::Type {
                referenced: ComponentAnyTypeId::Defined(id),
                ..
            } => self.defined(types, *id),
            _ => 1,
        }
    }

    fn function(&mut self, types: TypesRef<'_>, id: ComponentFuncTypeId) -> u64 {
        let function = &types[id];
        let parameters = function.params.iter().map(|(_, ty)| ty);
        self.all(types, parameters.chain(&function.result))
    }

    fn defined(&mut self, types: TypesRef<'_>, id: ComponentDefinedTypeId) -> u64 {
        if let Some(weight) = self.0.get(&id) {
            return *weight;
        }
        let weight = match &types[id] {
            ComponentDefinedType::Record(record) => self.all(types, record.fields.values()),
            ComponentDefinedType::Variant(variant) => {
                let payloads = variant.cases.values().filter_map(|case| case.ty.as_ref());
                self.all(types, payloads)
                    .saturating_add(variant.cases.len() as u64)
            }
            ComponentDefinedType::Tuple(tuple) => self.all(types, &tuple.types),
            ComponentDefinedType::Flags(names) | ComponentDefinedType::Enum(names) => {
                names.len() as u64
            }
            ComponentDefinedType::List { element: ty, .. }
            | ComponentDefinedType::FixedLengthList { element: ty, .. }
            | ComponentDefinedType::Option { ty, .. } => self.all(types, [ty]),
            ComponentDefinedType::Map { key, value, .. } => self.all(types, [key, value]),
            ComponentDefinedType::Result { ok, err, .. } => self.all(types, ok.iter().chain(err)),
            ComponentDefinedType::Future { ty, .. } | ComponentDefinedType::Stream { ty, .. } => {
                self.all(types, ty)
            }
            ComponentDefinedType::Primitive(_)
            | ComponentDefinedType::Own(_)
            | ComponentDefinedType::Borrow(_) => 1,
        };
        self.0.insert(id, weight);
        weight
    }

    fn all<'t>(
        &mut self,
        types: TypesRef<'_>,
        parts: impl IntoIterator<Item = &'t ComponentValType>,
    ) -> u64 {
        parts.into_iter().fold(1, |sum, part| {
            sum.saturating_add(match part {
                ComponentValType::Primitive(_) => 1,
                ComponentValType::Type(id) => self.defined(types, *id),
            })
        })
    }
}
