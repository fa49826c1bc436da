/// The worst law costs what the functional says, is allowed, and no other law that is allowed costs less.
module ValueFlow.Tests.Returns.DualTests

open System
open Xunit
open FsCheck
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Returns
open ValueFlow.Tests.Returns.Judge

let private expectation (law: Distribution) (masses: float[]) = Array.map2 (*) (law.Atoms.ToArray()) masses |> Array.sum

let private attained (dual: Dual) (sketch: LawSketch) =
    let law = lawOf sketch
    let worst = dual.Worst law
    within 1e-8 (expectation law worst + dual.Penalty law worst) (dual.Functional.Value law)

// From the law itself towards a random one on its atoms, as far as is allowed: many of these opinions lie on the edge of the set.
let private opinion (dual: Dual) (law: Distribution) (seed: int) =
    let generator = Generator seed
    let heights = Array.init law.Count (fun _ -> Math.Pow(generator.Uniform(), 6.0) + 1e-9)
    let total = Array.sum heights
    let nominal = law.Masses.ToArray()
    let towards share = Array.map2 (fun p h -> (1.0 - share) * p + share * h / total) nominal heights
    let mutable allowed, refused = 0.0, 1.0

    for _ in 1..30 do
        let middle = 0.5 * (allowed + refused)

        if dual.Penalty law (towards middle) < infinity then allowed <- middle else refused <- middle

    towards (allowed * (if generator.Uniform() < 0.5 then 1.0 else generator.Uniform()))

let private undercut (dual: Dual) (value: Distribution -> float) (sketch: LawSketch, seed: int) =
    let law = lawOf sketch
    let masses = opinion dual law seed
    // Penalties forgive rounding of 1e-9, and of 1e-15 in a divergence: it moves a mean by the root of it times the range (Pinsker).
    let cost = expectation law masses + dual.Penalty law masses
    (value law <= cost + 1e-7 * (1.0 + abs law.Minimum + abs law.Maximum)) |> Prop.label $"{value law} <= {cost}"

[<Fact>]
let ``the worst law attains the functional; the law itself does not`` () =
    for dual in Catalogue.duals do
        holds (fun sketch -> attained dual sketch |> Prop.label dual.Functional.Name)

        if dual.Functional.Axioms.Lipschitz <> 1.0 then
            refuted (attained { dual with Worst = fun law -> law.Masses.ToArray() })

        refuted (attained { dual with Worst = fun law -> Array.rev (dual.Worst law) })

[<Fact>]
let ``no law that is allowed is worse; a functional a little better is refuted`` () =
    for dual in Catalogue.duals do
        holds (fun sketch -> undercut dual dual.Functional.Value sketch |> Prop.label dual.Functional.Name)
        refuted (undercut dual (fun law -> 0.8 * dual.Functional.Value law + 0.2 * law.Maximum))

[<Fact>]
let ``twice the densities are not allowed`` () =
    let law = Distribution.ofNumbers [| 0.0; 1.0; 2.0; 3.0 |]
    Assert.Equal(0.0, (Dual.cvar 0.5).Penalty law [| 0.5; 0.5; 0.0; 0.0 |])
    Assert.Equal(infinity, (Dual.cvar 0.5).Penalty law [| 0.6; 0.4; 0.0; 0.0 |])
    Assert.Equal(infinity, (Dual.cvar 0.5).Penalty law [| 0.4; 0.4; 0.0; 0.0 |])
    refuses "masses" "3" (fun () -> (Dual.cvar 0.5).Penalty law [| 0.5; 0.5; 0.0 |])

[<Fact>]
let ``the dual set of CVaR is that of its distortion`` () =
    let law (share: float) (sketch: LawSketch, seed: int) =
        let law = lawOf sketch
        let plain, distorted = Dual.cvar 0.3, Dual.ofDistortion (Distortion.worst share)
        let masses = opinion plain law seed

        let bounded =
            Array.map2 (fun p q -> if q = 0.0 then 1.0 else Math.Max(q / p * 0.3, 1.0)) (law.Masses.ToArray()) masses
            |> Array.max
        // Just at the edge rounding decides.
        (distorted.Penalty law (Array.map2 (fun p q -> p + (q - p) * 0.999 / bounded) (law.Masses.ToArray()) masses) = 0.0)
        |> Prop.label "allowed by both"

    holds (law 0.3)
    refuted (law 0.9)

[<Fact>]
let ``a coherent distortion is a mixture of tail means`` () =
    // Heights 4, 1, 0.4 fall by 3, 0.6 and 0.4 at the levels 0.1, 0.5 and 1: each fall times its level is the weight of the CVaR of that level.
    let spectral = Distortion.functional (Distortion.spectral [| 0.1; 0.5; 1.0 |] [| 4.0; 1.0; 0.4 |])

    let law (weights: float list) (sketch: LawSketch) =
        let law = lawOf sketch

        let tails = List.map2 (fun share weight -> weight * (Tail.cvar share).Value law) [ 0.1; 0.5; 1.0 ] weights
        same (spectral.Value law) (List.sum tails)

    holds (law [ 0.3; 0.3; 0.4 ])
    refuted (law [ 0.4; 0.3; 0.3 ])
