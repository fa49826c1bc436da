namespace ValueFlow.Studies

/// The studies that the gallery runs.
module Catalogue =

    /// All of them, in the order of the list.
    let all: Study[] =
        [|
            FrozenLakeStudy()
            CliffStudy()
            CounterexampleStudy()
            ReversibleHeunStudy()
            NeuralOdeStudy()
            NeuralCdeStudy()
            ThreeMarginalsStudy()
            ActionMatchingStudy()
            LorenzSnapshotsStudy()
        |]
