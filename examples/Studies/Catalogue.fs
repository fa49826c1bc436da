namespace ValueFlow.Studies

/// The studies that the gallery runs.
module Catalogue =

    // What the tour shows, too.
    let private frozenLake: Study = FrozenLakeStudy()
    let private cliff: Study = CliffStudy()
    let private counterexample: Study = CounterexampleStudy()
    let private interpolant: Study = InterpolantStudy()

    /// All of them, in the order of the list.
    let all: Study[] =
        [|
            frozenLake
            cliff
            counterexample
            LogMappingStudy()
            WindyCorridorsStudy()
            DriftingWindStudy()
            ModelCorrectionStudy()
            LinearValuesStudy()
            LinearMdviStudy()
            ConservativeStudy()
            MunchausenStudy()
            BisimulationStudy()
            DualityStudy()
            RegularisedExplorationStudy()
            interpolant
            GaussianInterpolantStudy()
            DataCouplingStudy()
            ThreeMarginalsStudy()
            ActionMatchingStudy()
            LorenzSnapshotsStudy()
            NeuralOdeStudy()
            NeuralCdeStudy()
            ReversibleHeunStudy()
            CategoricalStudy()
            TwoAtomStudy()
            EntropicStudy()
            IteratedCvarStudy()
            StockCvarStudy()
            ConvexScoringStudy()
            EventualDiscountingStudy()
            PerformativeStudy()
            SeveralDiscountsStudy()
            SddpStudy()
            JointReturnsStudy()
            CategoricalAgentStudy()
            SemiMarkovStudy()
        |]

    /// Those that the tour shows: as few as give an idea of the whole, and done in a minute.
    let tour: Study[] = [| frozenLake; cliff; counterexample; interpolant |]
