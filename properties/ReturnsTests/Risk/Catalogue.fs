/// The functionals that come with the library, at typical and at extreme parameters.
module ValueFlow.Tests.Returns.Catalogue

open ValueFlow.Core.Returns

/// Concave, convex and mixed distortions.
let distortions: Distortion list =
    [
        Distortion.worst 0.3
        Distortion.best 0.3
        Distortion.wang 0.7
        Distortion.wang -0.7
        Distortion.wang 0.0
        Distortion.power 0.6
        Distortion.power 3.0
        Distortion.dualPower 0.6
        Distortion.dualPower 3.0
        Distortion.probabilityWeighting 0.71
        Distortion.probabilityWeighting 1.0
        Distortion.spectral [| 0.1; 0.5; 1.0 |] [| 4.0; 1.0; 0.4 |]
        Distortion.spectral [| 0.5; 1.0 |] [| 0.5; 1.5 |]
        Distortion.spectral [| 0.25; 0.75; 1.0 |] [| 1.5; 0.5; 1.5 |]
        Distortion.ofFunction
            "gini"
            Bend.Concave
            1.5
            "Yitzhaki 1982, Stochastic dominance, mean variance, and Gini's mean difference"
            (fun q -> 1.5 * q - 0.5 * q * q)
    ]

/// All functionals.
let functionals: Functional list =
    [
        Functional.mean
        Functional.variance
        Functional.standardDeviation
        Functional.meanVariance 0.3
        Functional.meanDeviation 0.8
        Functional.meanSemideviation 1 0.9
        Functional.meanSemideviation 2 0.9
        Functional.meanSemideviation 2 0.0
        Functional.mix 0.4 Functional.mean (Tail.cvar 0.1)
        Functional.mix 0.5 (Tail.upperCvar 0.2) (Tail.cvar 0.1)
        Tail.cvar 1.0
        Tail.cvar 0.01
        Tail.upperCvar 0.25
        Tail.quantileLower 0.35
        Tail.quantileLower 1.0
        Tail.quantileUpper 0.35
        Tail.quantileUpper 0.0
        Tail.expectile 0.2
        Tail.expectile 0.5
        Tail.expectile 0.9
        Entropy.certaintyEquivalent 0.6
        Entropy.certaintyEquivalent 1e-5
        Entropy.certaintyEquivalent 40.0
        Entropy.certaintyEquivalent 0.0
        Entropy.certaintyEquivalent -0.6
        Entropy.evar 0.3
        Entropy.evar 0.999
        Entropy.evar 1.0
        Entropy.evar 1e-4
    ]
    @ List.map Distortion.functional distortions

/// All functionals with a dual form.
let duals: Dual list =
    [
        Dual.cvar 0.3
        Dual.cvar 1.0
        Dual.cvar 0.01
        Dual.certaintyEquivalent 0.6
        Dual.certaintyEquivalent 12.0
        Dual.evar 0.3
        Dual.evar 0.9
        Dual.evar 1.0
        Dual.meanSemideviation 1 0.9
        Dual.meanSemideviation 2 0.9
        Dual.expectile 0.2
        Dual.expectile 0.5
    ]
    @ (distortions
       |> List.filter (fun distortion -> distortion.Bend = Bend.Concave || distortion.Bend = Bend.Straight)
       |> List.map Dual.ofDistortion)
