namespace ValueFlow.Studies

/// The studies that the gallery runs.
module Catalogue =

    /// All of them, in the order of the list.
    let all: Study[] =
        [|
            FrozenLakeStudy()
            CliffStudy()
            CounterexampleStudy()
            InterpolantStudy()
            GaussianInterpolantStudy()
            DataCouplingStudy()
        |]

    /// Those that the tour shows: as few as give an idea of the whole, and done in a minute.
    let tour: Study[] =
        let shown = [ "frozen-lake"; "cliff"; "counterexample"; "stochastic-interpolant" ]
        all |> Array.filter (fun study -> List.contains study.Name shown)
