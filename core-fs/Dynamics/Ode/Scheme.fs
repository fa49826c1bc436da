namespace ValueFlow.Core.Dynamics

/// The explicit Runge-Kutta schemes. Their coefficients are held to the order conditions (rooted trees; Butcher 1963) by the tests.
[<RequireQualifiedAccess; CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module Scheme =

    let private stages (rows: (float * float list) list) : Stage[] =
        rows |> List.map (fun (at, from) -> { At = at; From = Array.ofList from }) |> Array.ofList

    let private sparse (count: int) (entries: (int * float) list) : float[] =
        let row = Array.zeroCreate count
        entries |> List.iter (fun (stage, value) -> row[stage - 1] <- value)
        row

    // The cubic of Hermite; a scheme whose last stage is not the slope at the end takes that slope as an extra one.
    let private cubic (order: int) (rows: Stage[]) (weights: float[]) (firstSameAsLast: bool) : StepInterpolant =
        let order = min order 3

        if firstSameAsLast then
            {
                Order = order
                Stages = [||]
                EndSlope = false
                Weights = StepInterpolant.hermite weights (rows.Length - 1) []
            }
        else
            {
                Order = order
                Stages = [| { At = 1.0; From = weights } |]
                EndSlope = true
                Weights = StepInterpolant.hermite (Array.append weights [| 0.0 |]) rows.Length []
            }

    let private plain (name: string) (source: string) (order: int) (rows: (float * float list) list) (weights: float list) : Scheme =
        let rows, weights = stages rows, Array.ofList weights

        {
            Name = name
            Source = source
            Stages = rows
            Weights = weights
            Order = order
            EmbeddedOrder = 0
            Error = ErrorEstimate.Absent
            FirstSameAsLast = false
            StepInterpolant = cubic order rows weights false
        }

    let private embedded (order: int) (weights: float list) (scheme: Scheme) : Scheme =
        { scheme with EmbeddedOrder = order; Error = ErrorEstimate.Embedded(Array.ofList weights) }

    /// Order 1. Euler 1768, "Institutionum calculi integralis".
    let euler: Scheme = plain "Euler" "Euler 1768" 1 [ 0.0, [] ] [ 1.0 ]

    /// Order 2, with Euler's step as the embedded one: the slope in the middle. Runge 1895, "Ueber die numerische Aufloesung von Differentialgleichungen".
    let midpoint: Scheme = plain "midpoint" "Runge 1895" 2 [ 0.0, []; 0.5, [ 0.5 ] ] [ 0.0; 1.0 ] |> embedded 1 [ -1.0; 1.0 ]

    /// Order 2, with Euler's step as the embedded one: the mean of both slopes. Heun 1900, "Neue Methoden zur approximativen Integration".
    let heun: Scheme = plain "Heun" "Heun 1900" 2 [ 0.0, []; 1.0, [ 1.0 ] ] [ 0.5; 0.5 ] |> embedded 1 [ -0.5; 0.5 ]

    /// Order 4, no estimate. Kutta 1901, "Beitrag zur naeherungsweisen Integration totaler Differentialgleichungen".
    let rungeKutta4: Scheme =
        plain
            "Runge-Kutta 4"
            "Kutta 1901"
            4
            [ 0.0, []; 0.5, [ 0.5 ]; 0.5, [ 0.0; 0.5 ]; 1.0, [ 0.0; 0.0; 1.0 ] ]
            [ 1.0 / 6.0; 1.0 / 3.0; 1.0 / 3.0; 1.0 / 6.0 ]

    /// Order 3(2). Bogacki and Shampine 1989, "A 3(2) pair of Runge-Kutta formulas". Dense output of order 3 (Hermite).
    let bogackiShampine: Scheme =
        let b = [ 2.0 / 9.0; 1.0 / 3.0; 4.0 / 9.0 ]
        let rows = stages [ 0.0, []; 0.5, [ 0.5 ]; 0.75, [ 0.0; 0.75 ]; 1.0, b ]
        let weights = Array.ofList (b @ [ 0.0 ])

        {
            Name = "Bogacki-Shampine 3(2)"
            Source = "Bogacki and Shampine 1989"
            Stages = rows
            Weights = weights
            Order = 3
            EmbeddedOrder = 2
            Error = ErrorEstimate.Embedded [| -5.0 / 72.0; 1.0 / 12.0; 1.0 / 9.0; -1.0 / 8.0 |]
            FirstSameAsLast = true
            StepInterpolant = cubic 3 rows weights true
        }

    /// Order 5(4). Dormand and Prince 1980, "A family of embedded Runge-Kutta formulae"; dense output of order 4 by Shampine 1986 in the form of Hairer, Norsett and Wanner 1993, II.6.
    let dormandPrince5: Scheme =
        let b = [ 35.0 / 384.0; 0.0; 500.0 / 1113.0; 125.0 / 192.0; -2187.0 / 6784.0; 11.0 / 84.0 ]
        let weights = Array.ofList (b @ [ 0.0 ])

        let correction =
            [|
                -12715105075.0 / 11282082432.0
                0.0
                87487479700.0 / 32700410799.0
                -10690763975.0 / 1880347072.0
                701980252875.0 / 199316789632.0
                -1453857185.0 / 822651844.0
                69997945.0 / 29380423.0
            |]

        {
            Name = "Dormand-Prince 5(4)"
            Source = "Dormand and Prince 1980"
            Stages =
                stages
                    [
                        0.0, []
                        0.2, [ 0.2 ]
                        0.3, [ 3.0 / 40.0; 9.0 / 40.0 ]
                        0.8, [ 44.0 / 45.0; -56.0 / 15.0; 32.0 / 9.0 ]
                        8.0 / 9.0, [ 19372.0 / 6561.0; -25360.0 / 2187.0; 64448.0 / 6561.0; -212.0 / 729.0 ]
                        1.0, [ 9017.0 / 3168.0; -355.0 / 33.0; 46732.0 / 5247.0; 49.0 / 176.0; -5103.0 / 18656.0 ]
                        1.0, b
                    ]
            Weights = weights
            Order = 5
            EmbeddedOrder = 4
            Error =
                ErrorEstimate.Embedded
                    [| 71.0 / 57600.0; 0.0; -71.0 / 16695.0; 71.0 / 1920.0; -17253.0 / 339200.0; 22.0 / 525.0; -1.0 / 40.0 |]
            FirstSameAsLast = true
            StepInterpolant =
                {
                    Order = 4
                    Stages = [||]
                    EndSlope = false
                    Weights = StepInterpolant.hermite weights 6 [ correction ]
                }
        }

    /// Order 5(4). Tsitouras 2011, "Runge-Kutta pairs of order 5(4) satisfying only the first column simplifying assumption", with the dense output of order 4 given there.
    let tsitouras5: Scheme =
        let b = [ 0.09646076681806523; 0.01; 0.4798896504144996; 1.379008574103742; -3.290069515436081; 2.324710524099774 ]

        // scale theta^power times the other factors.
        let quartic (scale: float) (power: int) (factors: float[] list) : float[] =
            (StepInterpolant.product (List.replicate power [| 0.0; 1.0 |] @ factors) |> Array.map ((*) scale)).[1..]

        let root (r: float) = [| -r; 1.0 |]
        let pair (p: float) (q: float) = [| q; -p; 1.0 |]

        {
            Name = "Tsitouras 5(4)"
            Source = "Tsitouras 2011"
            Stages =
                stages
                    [
                        0.0, []
                        0.161, [ 0.161 ]
                        0.327, [ -0.008480655492356989; 0.335480655492357 ]
                        0.9, [ 2.8971530571054935; -6.359448489975075; 4.3622954328695815 ]
                        0.9800255409045097, [ 5.325864828439257; -11.748883564062828; 7.4955393428898365; -0.09249506636175525 ]
                        1.0, [ 5.86145544294642; -12.92096931784711; 8.159367898576159; -0.071584973281401; -0.02826905039406838 ]
                        1.0, b
                    ]
            Weights = Array.ofList (b @ [ 0.0 ])
            Order = 5
            EmbeddedOrder = 4
            Error =
                ErrorEstimate.Embedded
                    [|
                        0.00178001105222577714
                        0.0008164344596567469
                        -0.007880878010261995
                        0.1447110071732629
                        -0.5823571654525552
                        0.45808210592918697
                        -1.0 / 66.0
                    |]
            FirstSameAsLast = true
            StepInterpolant =
                {
                    Order = 4
                    Stages = [||]
                    EndSlope = false
                    Weights =
                        [|
                            quartic -1.0530884977290216 1 [ root 1.3299890189751412; pair 1.4364028541716351 0.7139816917074209 ]
                            quartic 0.1017 2 [ pair 2.1966568338249754 1.2949852507374631 ]
                            quartic 2.490627285651252793 2 [ pair 2.38535645472061657 1.57803468208092486 ]
                            quartic -16.54810288924490272 2 [ root 1.21712927295533244; root 0.61620406037800089 ]
                            quartic 47.37952196281928122 2 [ root 1.203071208372362603; root 0.658047292653547382 ]
                            quartic -34.87065786149660974 2 [ root 1.2; root (2.0 / 3.0) ]
                            quartic 2.5 2 [ root 1.0; root 0.6 ]
                        |]
                }
        }

    /// Order 8(5,3). Prince and Dormand 1981, "High order embedded Runge-Kutta formulae", with the error estimate and the dense output of order 7 of DOP853:
    /// Hairer, Norsett and Wanner 1993, "Solving Ordinary Differential Equations I", II.5 and II.10.
    let dormandPrince8: Scheme =
        let rows (from: int) (entries: (float * (int * float) list) list) : Stage list =
            entries |> List.mapi (fun n (at, row) -> { At = at; From = sparse (from + n) row })

        let weights = sparse 13 DormandPrince8.weights

        let all =
            [ { At = 0.0; From = [||] } ]
            @ rows 1 DormandPrince8.stages
            @ [ { At = 1.0; From = sparse 12 DormandPrince8.weights } ]

        {
            Name = "Dormand-Prince 8(5,3)"
            Source = "Hairer, Norsett and Wanner 1993"
            Stages = Array.ofList all
            Weights = weights
            Order = 8
            EmbeddedOrder = 7
            Error = ErrorEstimate.Blended(sparse 13 DormandPrince8.fifth, Array.map2 (-) weights (sparse 13 DormandPrince8.third))
            FirstSameAsLast = true
            StepInterpolant =
                {
                    Order = 7
                    Stages = Array.ofList (rows 13 DormandPrince8.denseStages)
                    EndSlope = false
                    Weights =
                        StepInterpolant.hermite (sparse 16 DormandPrince8.weights) 12 (DormandPrince8.corrections |> List.map (sparse 16))
                }
        }

    /// All of them, by order.
    let all: Scheme list = [ euler; midpoint; heun; bogackiShampine; rungeKutta4; dormandPrince5; tsitouras5; dormandPrince8 ]
