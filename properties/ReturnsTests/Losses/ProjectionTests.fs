/// The categorical projection keeps what it must, and is its definition.
module ValueFlow.Tests.Returns.Losses.ProjectionTests

open System
open Xunit
open FsCheck
open FsCheck.FSharp
open ValueFlow.Core.Returns
open ValueFlow.Tests.Returns.Judge
open ValueFlow.Tests.Returns.Losses.Sketches

let private rowSums (weight: int -> float) (case: ProjectionCase) (masses: float32[]) : float[] =
    let count = case.Support.Count
    Array.init case.Rewards.Length (fun b -> Seq.sum (seq { for i in 0 .. count - 1 -> weight i * float masses[b * count + i] }))

let private wide (numbers: float32[]) = Array.map float numbers

// Wrong projections.
let private mutate (change: ProjectionCase -> float32[] -> float32[]) : Projection =
    fun case ->
        let projected, lost = fused 1 case
        change case projected, lost

let private places (case: ProjectionCase) (b: int) (j: int) =
    let support = case.Support
    let y = float case.Rewards[b] + float case.Discounts[b] * support.Atom j
    (Math.Clamp(y, support.Least, support.Largest) - support.Least) / support.Gap

let private bySplit (shares: float -> struct (int * float) list) : Projection =
    fun case ->
        let count = case.Support.Count
        let into = Array.zeroCreate<float32> case.Masses.Length

        for b in 0 .. case.Rewards.Length - 1 do
            for j in 0 .. count - 1 do
                for struct (i, share) in shares (places case b j) do
                    if i < count then
                        into[b * count + i] <- into[b * count + i] + float32 share * case.Masses[b * count + j]

        into, snd (fused 1 case)

/// Where floor = ceil both shares are zero: the mass is lost.
let private losesGridHits =
    bySplit (fun place -> [ struct (int (floor place), ceil place - place); struct (int (ceil place), place - floor place) ])

/// Where floor = ceil both shares are one.
let private doublesGridHits =
    bySplit (fun place ->
        [
            struct (int (floor place), 1.0 - (place - floor place))
            struct (int (ceil place), 1.0 - (ceil place - place))
        ])

/// To the nearest atom: the mean moves.
let private nearest = bySplit (fun place -> [ struct (int (Math.Round place), 1.0) ])

/// The upper atom gets the lower one's share.
let private swapped =
    bySplit (fun place ->
        [
            struct (int (floor place), place - floor place)
            struct (int (floor place) + 1, 1.0 - (place - floor place))
        ])

let private massLaw (projection: Projection) (sketch: ProjectionSketch) =
    let case = projectionCase sketch
    let projected, _ = projection case

    allWithin 2e-6 (rowSums (fun _ -> 1.0) case case.Masses) (rowSums (fun _ -> 1.0) case projected)
    .&. (Array.forall (fun x -> x >= 0.0f) projected |> Prop.label "masses are not negative")

[<Fact>]
let ``mass is kept, also where atoms land on atoms and on both ends`` () =
    holds (massLaw (fused 1))
    refuted (massLaw losesGridHits)
    refuted (massLaw doublesGridHits)

let private meanLaw (projection: Projection) (sketch: ProjectionSketch) =
    let case = projectionCase { sketch with Kind = 2uy }
    let projected, _ = projection case
    let before = rowSums case.Support.Atom case case.Masses

    let expected =
        Array.init case.Rewards.Length (fun b ->
            let mass = (rowSums (fun _ -> 1.0) case case.Masses)[b]
            float case.Rewards[b] * mass + float case.Discounts[b] * before[b])

    allWithin (2e-6 * (1.0 + case.Support.Range)) expected (rowSums case.Support.Atom case projected)

[<Fact>]
let ``means are kept where nothing is clipped`` () =
    holds (meanLaw (fused 1))
    refuted (meanLaw nearest)
    refuted (meanLaw swapped)

let private definitionLaw (projection: Projection) (sketch: ProjectionSketch) =
    let case = projectionCase sketch
    let projected, lost = projection case
    let expected, expectedLost = plain case

    allWithin 5e-5 (wide expected) (wide projected)
    .&. (within 1e-5 lost expectedLost |> Prop.label "clipped mass")

[<Fact>]
let ``the kernel is its definition, clipped mass included, on any number of threads`` () =
    holds (definitionLaw (fused 1))
    holds (definitionLaw (fused 2))
    refuted (definitionLaw swapped)
    refuted (definitionLaw (fun case -> fst (fused 1 case), 0.0))
    refuted (definitionLaw (mutate (fun case projected -> if case.Rewards.Length > 2 then Array.rev projected else projected)))

let private idempotenceLaw (projection: Projection) (sketch: ProjectionSketch) =
    let case = projectionCase { sketch with Kind = 1uy }
    let still = { case with Rewards = Array.map (fun _ -> 0.0f) case.Rewards }
    let once, lost = projection still
    let shifted, _ = projection case

    (once = still.Masses |> Prop.label "laws on the support stay as they are, to the last bit")
    .&. same lost 0.0
    .&. (allWithin 1e-6 (wide (fst (plain case))) (wide shifted) |> Prop.label "atoms that land on atoms stay whole")

[<Fact>]
let ``what lies on the support stays, bit by bit`` () =
    holds (idempotenceLaw (fused 1))
    refuted (idempotenceLaw losesGridHits)
    refuted (idempotenceLaw (mutate (fun _ projected -> Array.map (fun x -> 0.999999f * x) projected)))

[<Fact>]
let ``a terminated step puts all mass at its reward, a truncated one bootstraps`` () =
    let support = Support(-1.0, 1.0, 5)
    let masses = [| 0.0f; 0.0f; 0.0f; 0.0f; 1.0f |]

    let project (discount: float32) =
        fst (fused 1 { Support = support; Rewards = [| 0.25f |]; Discounts = [| discount |]; Masses = masses })

    Assert.Equal<float32[]>([| 0.0f; 0.0f; 0.5f; 0.5f; 0.0f |], project 0.0f)
    Assert.Equal<float32[]>([| 0.0f; 0.0f; 0.0f; 0.5f; 0.5f |], project 0.5f)

[<Fact>]
let ``one thread takes no memory`` () =
    let case = projectionCase { Seed = 1; Rows = 8uy; Atoms = 49uy; Kind = 0uy }
    let projected = Array.zeroCreate<float32> case.Masses.Length

    let run () =
        CategoricalKernel.project
            case.Support
            1
            (ReadOnlySpan case.Rewards)
            (ReadOnlySpan case.Discounts)
            (ReadOnlySpan case.Masses)
            (Span projected)
        |> ignore

    run ()
    let before = GC.GetAllocatedBytesForCurrentThread()
    run ()
    Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread())

[<Fact>]
let ``a batch that is worth two threads has the same bits on both`` () =
    let rows = 1000

    let case =
        {
            Support = Support(-10.0, 10.0, 51)
            Rewards = Array.init rows (fun b -> float32 b / 500.0f - 1.0f)
            Discounts = Array.init rows (fun b -> if b % 10 = 0 then 0.0f else 0.99f)
            Masses = Array.create (rows * 51) (1.0f / 51.0f)
        }

    let one, two = fused 1 case, fused 2 case
    Assert.Equal<float32[]>(fst one, fst two)
    Assert.Equal(snd one, snd two, 1e-9)

[<Fact>]
let ``a support of any size: hundreds of atoms, and two`` () =
    for atoms in [ 2; 3; 7; 8; 9; 511; 512; 513; 2000 ] do
        let support = Support(-1.0, 1.0, atoms)

        let case =
            {
                Support = support
                Rewards = [| 0.1f |]
                Discounts = [| 0.9f |]
                Masses = Array.create atoms (1.0f / float32 atoms)
            }

        let expected, found = fst (plain case), fst (fused 1 case)
        Assert.True(Array.forall2 (fun (a: float32) b -> abs (a - b) < 1e-5f) expected found, $"{atoms} atoms")

[<Fact>]
let ``bad batches are named with the place`` () =
    let support = Support(0.0, 1.0, 3)

    let run (rewards: float32[]) (discounts: float32[]) (masses: float32[]) (into: float32[]) () =
        CategoricalKernel.project support 1 (ReadOnlySpan rewards) (ReadOnlySpan discounts) (ReadOnlySpan masses) (Span into)

    let law = [| 0.5f; 0.5f; 0.0f; 0.0f; 0.0f; 1.0f |]
    let into () = Array.zeroCreate<float32> 6
    refuses "masses" "row 1, column 2" (run [| 0.0f; 0.0f |] [| 1.0f; 1.0f |] (Array.append law[..4] [| nanf |]) (into ()))
    refuses "masses" "-0.5" (run [| 0.0f; 0.0f |] [| 1.0f; 1.0f |] (Array.append law[..4] [| -0.5f |]) (into ()))
    refuses "masses" "5" (run [| 0.0f; 0.0f |] [| 1.0f; 1.0f |] law[..4] (into ()))
    refuses "rewards" "row 1" (run [| 0.0f; infinityf |] [| 1.0f; 1.0f |] law (into ()))
    refuses "rewards" "1" (run [| 0.0f |] [| 1.0f; 1.0f |] law (into ()))
    refuses "discounts" "-1" (run [| 0.0f; 0.0f |] [| 1.0f; -1.0f |] law (into ()))
    refuses "projected" "7" (run [| 0.0f; 0.0f |] [| 1.0f; 1.0f |] law (Array.zeroCreate 7))
    refuses "projected" "overlaps" (run [| 0.0f; 0.0f |] [| 1.0f; 1.0f |] law law)

    refuses "support" "65537" (fun () ->
        fused
            1
            {
                Support = Support(0.0, 1.0, 65537)
                Rewards = [| 0.0f |]
                Discounts = [| 1.0f |]
                Masses = [| 1.0f |]
            })

    refuses "threads" "0" (fun () -> fused 0 (projectionCase { Seed = 1; Rows = 1uy; Atoms = 3uy; Kind = 0uy }))
